/// What the event log tells of.
package enum LeadEventType {
  /// All there are, as the database names them.
  package static let names = [
    "lead.created", "lead.updated", "lead.qualified", "lead.assigned", "lead.contacted", "lead.follow_up_scheduled",
    "lead.follow_up_completed", "lead.converted", "lead.lost", "notification.sent", "notification.failed",
    "notification.delivered", "sla.warning", "sla.breached", "newsletter.subscribed", "channel.test",
  ]
}
