insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead');
insert into lead_events (id, event_type, conversation_id, planned_at) values ('00000000-0000-4000-8000-0000000000e1', 'lead.created', '00000000-0000-4000-8000-0000000000c1', now());
insert into notification_logs (id, lead_event_id, conversation_id, channel, recipient, status, fence, lease_until, leased_by)
  values ('00000000-0000-4000-8000-0000000000d1', '00000000-0000-4000-8000-0000000000e1', '00000000-0000-4000-8000-0000000000c1', 'slack', 'default', 'sending', 3, now() + interval '30 s', 'w');
insert into notification_attempts (delivery, fence, attempt) values ('00000000-0000-4000-8000-0000000000d1', 3, 1);
insert into notification_channels (channel, paused_until, pause_class, pause_reason, fail_streak) values ('slack', now() + interval '5 minutes', 'config', 'Slack answered 404', 1);
