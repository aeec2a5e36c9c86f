// The endpoints of the trust class admin in one executable, which has a link with the name of each.
import Contract
import Store
import StoreAccess
import agent_create
import agent_delete
import agent_list
import agent_update
import analytics_report
import audit_list
import channel_list
import channel_resume
import channel_test
import conversation_assign
import conversation_assignments
import conversation_bulk
import conversation_events
import conversation_explain
import conversation_export
import conversation_list
import conversation_messages
import conversation_notifications
import conversation_respond
import conversation_search
import conversation_show
import conversation_timeline
import conversation_unassign
import conversation_update
import event_list
import event_replay
import follow_up_create
import follow_up_list
import follow_up_update
import key_create
import key_list
import key_revoke
import live_feed
import live_show
import notification_list
import notification_retry
import person_erase
import person_export
import person_merge
import person_show
import person_unmerge
import session_close
import session_open
import session_show
import sla_list
import subscriber_delete
import subscriber_list

@main
enum Executable {
  static func main() {
    serve(
      [
        "agent-create": { agent_create.handler },
        "agent-delete": { agent_delete.handler },
        "agent-list": { agent_list.handler },
        "agent-update": { agent_update.handler },
        "analytics-report": { analytics_report.handler },
        "audit-list": { audit_list.handler },
        "channel-list": { channel_list.handler },
        "channel-resume": { channel_resume.handler },
        "channel-test": { channel_test.handler },
        "conversation-assign": { conversation_assign.handler },
        "conversation-assignments": { conversation_assignments.handler },
        "conversation-bulk": { conversation_bulk.handler },
        "conversation-events": { conversation_events.handler },
        "conversation-explain": { conversation_explain.handler },
        "conversation-export": { conversation_export.handler },
        "conversation-list": { conversation_list.handler },
        "conversation-messages": { conversation_messages.handler },
        "conversation-notifications": { conversation_notifications.handler },
        "conversation-respond": { conversation_respond.handler },
        "conversation-search": { conversation_search.handler },
        "conversation-show": { conversation_show.handler },
        "conversation-timeline": { conversation_timeline.handler },
        "conversation-unassign": { conversation_unassign.handler },
        "conversation-update": { conversation_update.handler },
        "event-list": { event_list.handler },
        "event-replay": { event_replay.handler },
        "follow-up-create": { follow_up_create.handler },
        "follow-up-list": { follow_up_list.handler },
        "follow-up-update": { follow_up_update.handler },
        "key-create": { key_create.handler },
        "key-list": { key_list.handler },
        "key-revoke": { key_revoke.handler },
        "live-feed": { live_feed.handler },
        "live-show": { live_show.handler },
        "notification-list": { notification_list.handler },
        "notification-retry": { notification_retry.handler },
        "person-erase": { person_erase.handler },
        "person-export": { person_export.handler },
        "person-merge": { person_merge.handler },
        "person-show": { person_show.handler },
        "person-unmerge": { person_unmerge.handler },
        "session-close": { session_close.handler },
        "session-open": { session_open.handler },
        "session-show": { session_show.handler },
        "sla-list": { sla_list.handler },
        "subscriber-delete": { subscriber_delete.handler },
        "subscriber-list": { subscriber_list.handler },
      ], counter: { SharedRateLimiter($0, over: .ofProcess($0)) })
  }
}
