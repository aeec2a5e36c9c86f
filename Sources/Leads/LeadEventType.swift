/// The event types of the event log.
package enum LeadEventType {
  /// All types, by their names in the database.
  package static let names = [
    "lead.created", "lead.updated", "lead.qualified", "lead.assigned", "lead.contacted", "lead.follow_up_scheduled",
    "lead.follow_up_completed", "lead.converted", "lead.lost", "notification.sent", "notification.failed",
    "notification.delivered", "sla.warning", "sla.breached", "newsletter.subscribed", "channel.test",
    "lead.follow_up_due", "agent.digest", "lead.receipt",
  ]
}
