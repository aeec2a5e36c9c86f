import Wire

/// Keeps the automatic assignment away from the test lead of `leadpipe check`.
extension Database {
  /// Begins a transaction in which no lead is assigned automatically. It ends with `endHold`, with the connection, and
  /// in any case after 30 seconds without a statement. The connection must have been made without a role.
  /// - Parameter role: the role that may call the function; nil if the login may.
  package func beginHold(role: String?, deadline: Instant) throws(StoreFailure) {
    try run(
      script: """
        begin; \(role.map { "set local role \($0); " } ?? "")set local idle_in_transaction_session_timeout = '30s';
        set local lock_timeout = '5s'; select public.prepare_test_lead('{}');
        """, deadline: deadline)
  }

  /// Marks the test lead, so that it is never assigned and counts as late, and ends the transaction.
  package func endHold(_ lead: UUIDText, deadline: Instant) throws(StoreFailure) {
    try run(
      script: "select public.prepare_test_lead('{\"id\": \"\(lead.text)\"}'); commit", deadline: deadline)
  }

  /// The statement that makes the next `leadpipe migrate` run these migrations again. Each can run again at any time.
  package static func forgetting(_ versions: [String]) -> String {
    let list = versions.map { "'\($0)'" }.joined(separator: ", ")
    return "DELETE FROM supabase_migrations.schema_migrations WHERE version IN (\(list));"
  }
}
