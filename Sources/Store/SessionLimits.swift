import Wire

extension Database {
  /// Refuses a pooler in transaction mode, where the statements of one connection can run in different sessions.
  /// - Parameters:
  ///   - other: another connection to the same address.
  ///   - need: the beginning of the message: `migrations need`.
  func requireSession(beside other: Database, for need: String, deadline: Instant) throws(StoreFailure) {
    let own = try processOfSession(deadline)
    try other.run(script: "begin", deadline: deadline)
    let others = try other.processOfSession(deadline)
    // A transaction pooler that has no other session lets this one wait.
    let again = try? processOfSession(min(deadline, Instant.steady.adding(seconds: 10)))
    guard own == again, own != others else {
      throw .refused(sqlState: "0A000", message: "\(need) a direct or session connection, not a transaction pooler")
    }
    try other.run(script: "rollback", deadline: deadline)
  }

  /// Returns the process id of the server's session that runs the next statement.
  private func processOfSession(_ deadline: Instant) throws(StoreFailure) -> String? {
    try query("select pg_backend_pid()", deadline: deadline).first?.first ?? nil
  }

  /// Sets for the whole session what the start-up options would have set: for a pooler in session mode.
  package func setLimitsOfSession(deadline: Instant) throws(StoreFailure) {
    try run(
      script: "set statement_timeout = '\(statementSeconds)s'; set lock_timeout = \(lockMilliseconds)",
      deadline: deadline)
  }

  /// Undoes `setLimitsOfSession`, because a pooler passes the session on.
  package func resetLimitsOfSession(deadline: Instant) throws(StoreFailure) {
    try run(script: "reset statement_timeout; reset lock_timeout", deadline: deadline)
  }
}
