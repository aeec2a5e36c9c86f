import Wire

extension Database {
  /// Returns true if the login, in the role of this database, may execute the function.
  package func mayExecute(_ function: Function, deadline: Instant) throws(StoreFailure) -> Bool {
    let rows = try query(
      "select has_function_privilege($1, 'execute')", ["public.\(function.rawValue)(jsonb)"], deadline: deadline)
    return rows.first?.first == "t"
  }

  /// Returns the name of the login.
  package func loginName(deadline: Instant) throws(StoreFailure) -> String? {
    try query("select session_user", deadline: deadline).first?.first ?? nil
  }

  /// Returns true if there is a pooler in front of the server that does not pass start-up options on.
  package func leadsToPooler(deadline: Instant) throws(StoreFailure) -> Bool {
    _ = try query("select 1", deadline: deadline)
    return isPooled
  }

  /// Returns how many sessions the server, the database and the login allow together with all others; the least of the
  /// three.
  package func allowedSessions(deadline: Instant) throws(StoreFailure) -> Int {
    let statement = """
      select least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
        (select nullif(rolconnlimit, -1) from pg_roles where rolname = session_user),
        (select nullif(datconnlimit, -1) from pg_database where datname = current_database()))
      """
    guard let text = try query(statement, deadline: deadline).first?.first ?? nil, let count = Int(text) else {
      throw .noAnswer
    }
    return count
  }
}
