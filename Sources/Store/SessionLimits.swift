import Wire

extension Database {
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
