import Wire

/// The checklist's queries for operators.
extension Database {
  /// Returns how many events are not processed, and for how many seconds the oldest of them has waited.
  package func backlog(deadline: Instant) throws(StoreFailure) -> (count: Int, oldestSeconds: Int) {
    let row = try query(
      """
      select count(*), coalesce(floor(extract(epoch from clock_timestamp() - min(created_at))), 0)
      from public.lead_events where processed = false
      """, deadline: deadline
    ).first
    return (Self.number(row, 0), Self.number(row, 1))
  }

  /// Returns how many leads wait without an event because the event tables do not exist. Nil if events are stored, or if
  /// the database is not Leadpipe's.
  package func unsentWhileOff(deadline: Instant) throws(StoreFailure) -> Int? {
    let isOff = try query(
      """
      select 1 where to_regclass('public.lead_events') is null and to_regclass('leadpipe.unsent_leads') is not null
      """, deadline: deadline)
    return isOff.isEmpty ? nil : try unsentLeads(deadline: deadline).count
  }

  /// The statement that deletes the leads that are not announced, for an operator's shell.
  package static let forgettingUnsentLeads = "delete from leadpipe.unsent_leads"

  /// Returns how many leads were stored without an event and are not announced, for how many seconds the oldest has
  /// waited, and why a message about one of them has failed.
  package func unsentLeads(
    deadline: Instant
  ) throws(StoreFailure) -> (count: Int, oldestSeconds: Int, latest: String) {
    let row = try query(
      """
      select count(*), coalesce(floor(extract(epoch from clock_timestamp() - min(created_at))), 0),
        (select max(format('%s: %s', channel, error_message)) from leadpipe.direct_deliveries where status = 'failed')
      from leadpipe.unsent_leads u where not leadpipe.is_spam(u.conversation_id)
      """, deadline: deadline
    ).first
    return (Self.number(row, 0), Self.number(row, 1), row.flatMap { $0.count > 2 ? $0[2] : nil } ?? "")
  }

  /// Returns how many notifications of the last day have failed, and the reason of the latest.
  package func failedNotifications(deadline: Instant) throws(StoreFailure) -> (count: Int, latest: String) {
    let row = try query(
      """
      select count(*), max(latest) from (
        select first_value(format('%s: %s', channel, error_message)) over (order by created_at desc) as latest
        from public.notification_logs
        where status = 'failed' and is_failed and created_at > now() - interval '1 day') failed
      """, deadline: deadline
    ).first
    return (Self.number(row, 0), row.flatMap { $0.count > 1 ? $0[1] : nil } ?? "")
  }

  /// Returns how many leads are marked as late, how many of them still wait for a response, and how many open leads have
  /// been late for more than five minutes without being marked: those that no worker has noticed.
  package func lateLeads(deadline: Instant) throws(StoreFailure) -> (marked: Int, waiting: Int, unnoticed: Int) {
    let row = try query(
      """
      select (select count(*) from public.conversations where sla_breached = true),
        (select count(*) from public.conversations where sla_breached and first_response_at is null
          and status not in ('completed', 'lost', 'converted')),
        (select count(*) from public.conversations
          where first_response_at is null and status not in ('completed', 'lost', 'converted') and not sla_breached
            and sla_response_deadline > created_at and sla_response_deadline < now() - interval '5 minutes')
      """, deadline: deadline
    ).first
    return (Self.number(row, 0), Self.number(row, 1), Self.number(row, 2))
  }

  private static func number(_ row: [String?]?, _ column: Int) -> Int {
    row.flatMap { $0.count > column ? $0[column] : nil }.flatMap { Int($0) } ?? 0
  }
}
