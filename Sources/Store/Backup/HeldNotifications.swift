import Wire

/// What a restore has held: notifications that were pending in the backup.
extension Database {
  /// Returns the ids of the deliveries that are held and have not been sent since, oldest first.
  package func heldDeliveries(deadline: Instant) throws(StoreFailure) -> [String] {
    guard try has("public.notification_logs", deadline) else { return [] }
    return try texts(
      """
      select id from public.notification_logs
      where is_failed and next_attempt_at is null and error_message like $1 || '%' order by created_at, id
      """, [RestoreScript.heldPrefix], deadline: deadline)
  }

  /// Returns the ids of the events that are held before they had deliveries, oldest first.
  package func heldEvents(deadline: Instant) throws(StoreFailure) -> [String] {
    guard try has("public.lead_events", deadline) else { return [] }
    return try texts(
      """
      select e.id from public.lead_events e
      where e.processed and e.last_error like $1 || '%'
        and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
      order by e.created_at, e.id
      """, [RestoreScript.heldPrefix], deadline: deadline)
  }

  /// Returns how many leads of the time without event tables are held, or have a held delivery.
  package func heldUnsentLeads(deadline: Instant) throws(StoreFailure) -> Int {
    guard try has("leadpipe.unsent_leads", deadline) else { return 0 }
    return try texts(
      """
      select count(*) from leadpipe.unsent_leads u where u.planned_at = 'infinity' or exists (
        select from leadpipe.direct_deliveries d where d.lead_id = u.id and d.due_at is null and d.error_message like $1 || '%')
      """, [RestoreScript.heldPrefix], deadline: deadline
    ).first.flatMap { Int($0) } ?? 0
  }

  /// Makes the held leads of the time without event tables due.
  package func releaseUnsentLeads(deadline: Instant) throws(StoreFailure) {
    guard try has("leadpipe.unsent_leads", deadline) else { return }
    try run(
      script: """
        update leadpipe.unsent_leads set planned_at = null where planned_at = 'infinity';
        update leadpipe.direct_deliveries set due_at = now(), error_message = null
        where due_at is null and status = 'failed' and error_message like '\(RestoreScript.heldPrefix)%';
        """, deadline: deadline)
  }

  private func has(_ table: String, _ deadline: Instant) throws(StoreFailure) -> Bool {
    try !texts("select 1 where to_regclass($1) is not null", [table], deadline: deadline).isEmpty
  }
}
