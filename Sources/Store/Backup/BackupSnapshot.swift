import Wire

/// One moment of a database, which pg_dump reads while captures go on.
package struct BackupSnapshot: Sendable {
  /// The name for `pg_dump --snapshot`.
  package let name: String
  package let contents: DatabaseContents
}

/// How much a database holds.
package struct DatabaseContents: Sendable, Equatable {
  /// The major version of the server.
  package let server: Int
  package let leads: Int
  /// 0 while the event tables are dropped.
  package let events: Int
  /// The versions in the ledger of the migrations, in order.
  package let versions: [String]
}

extension Database {
  /// Exports a snapshot, which lasts until this connection is closed. Throws `refused` with the state 0A000 behind a
  /// transaction pooler, and 3F000 if the database is not Leadpipe's.
  package func exportSnapshot(beside other: Database, deadline: Instant) throws(StoreFailure) -> BackupSnapshot {
    // The first statement of a connection sets the mode of its transaction.
    _ = try query("select 1", deadline: deadline)
    if isPooled { try requireSession(beside: other, for: "a backup needs", deadline: deadline) }
    other.close()
    try run(
      script: """
        begin isolation level repeatable read;
        set local idle_in_transaction_session_timeout = 0; set local statement_timeout = 0;
        """, deadline: deadline)
    guard try texts("select 1 where to_regclass('leadpipe.audit_log') is not null", deadline: deadline) == ["1"] else {
      throw .refused(sqlState: "3F000", message: "the database has no tables of Leadpipe: run `leadpipe migrate`")
    }
    let name = try texts("select pg_export_snapshot()", deadline: deadline).first ?? ""
    return BackupSnapshot(name: name, contents: try contents(deadline: deadline))
  }

  /// Counts what the database holds. It must be Leadpipe's.
  package func contents(deadline: Instant) throws(StoreFailure) -> DatabaseContents {
    let hasEvents =
      try texts("select 1 where to_regclass('public.lead_events') is not null", deadline: deadline) == ["1"]
    let versions = try texts(
      "select version from supabase_migrations.schema_migrations order by version", deadline: deadline)
    return DatabaseContents(
      server: try serverVersion(deadline: deadline),
      leads: try number("select count(*) from public.conversations", deadline: deadline),
      events: hasEvents ? try number("select count(*) from public.lead_events", deadline: deadline) : 0,
      versions: versions)
  }

  /// Returns the major version of the server.
  package func serverVersion(deadline: Instant) throws(StoreFailure) -> Int {
    try number("select current_setting('server_version_num')::int / 10000", deadline: deadline)
  }

  func number(_ statement: String, deadline: Instant) throws(StoreFailure) -> Int {
    guard let count = try texts(statement, deadline: deadline).first.flatMap({ Int($0) }) else { throw .noAnswer }
    return count
  }
}
