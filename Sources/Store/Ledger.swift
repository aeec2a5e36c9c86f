import Wire

/// The migrations of a database and their ledger. It is the ledger of `supabase db push`, so both tools can be used on
/// one database.
package struct Ledger {
  /// A migration. Its version is the number at the beginning of its file name.
  package struct Migration: Sendable, Equatable {
    package let version: String
    package let name: String
    package let script: String

    package init(version: String, name: String, script: String) {
      self.version = version
      self.name = name
      self.script = script
    }
  }

  /// The result of `migrate`.
  package struct Outcome: Sendable, Equatable {
    /// The versions that were applied, in order.
    package let applied: [String]
    /// The versions in the ledger without a file: another project's migrations of the same database.
    package let foreign: [String]
  }

  private let database: Database
  private let deadline: Instant

  package init(_ database: Database, deadline: Instant) {
    self.database = database
    self.deadline = deadline
  }

  /// Applies all missing migrations. Concurrent calls wait for each other. The ledger may be empty although the files
  /// were run by hand: every migration can run again. The database may also have another project's migrations, even
  /// with the same version numbers.
  package func migrate(shim: String, _ migrations: [Migration]) throws(StoreFailure) -> Outcome {
    try locked { () throws(StoreFailure) in
      try database.run(script: shim, deadline: deadline)
      try database.run(script: Self.table, deadline: deadline)
      let ledger = try database.query(
        "select version from supabase_migrations.schema_migrations order by version", deadline: deadline)
      let known = Set(try database.query(Self.known, deadline: deadline).compactMap { $0.first ?? nil })
      var applied: [String] = []
      for migration in migrations where !known.contains(migration.version) {
        try transaction { () throws(StoreFailure) in
          try database.run(script: migration.script, deadline: deadline)
          _ = try database.query(
            """
            insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, array[$3])
            on conflict (version) do nothing
            """, [migration.version, migration.name, migration.script], deadline: deadline)
        }
        applied.append(migration.version)
      }
      let ours = Set(migrations.map(\.version))
      return Outcome(applied: applied, foreign: ledger.compactMap { $0.first ?? nil }.filter { !ours.contains($0) })
    }
  }

  /// Removes the event-driven part. The script deletes its own rows from the ledger.
  package func rollback(script: String) throws(StoreFailure) {
    try locked { () throws(StoreFailure) in
      try transaction { () throws(StoreFailure) in try database.run(script: script, deadline: deadline) }
    }
  }

  /// Selects the versions in the ledger that the database confirms. Without the schema `leadpipe` none of Leadpipe's
  /// migrations has run: equal versions in the ledger are another project's. After the four DROP TABLEs of the
  /// checklist's clean-up, the ledger still has the migrations that created these tables; these and all later ones run
  /// again.
  private static let known = """
    select version from supabase_migrations.schema_migrations
    where to_regnamespace('leadpipe') is not null and (version < '20251219000001' or
      (select bool_and(to_regclass('public.' || name) is not null) from unnest(array['lead_events',
        'conversation_timeline', 'follow_up_tasks', 'notification_logs']) as name))
    """

  private static let table = """
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations
      (version text primary key, statements text[], name text);
    """

  /// Runs `body` under an advisory lock of this database, which is released when the connection closes.
  private func locked<R>(_ body: () throws(StoreFailure) -> R) throws(StoreFailure) -> R {
    _ = try database.query("select 1", deadline: deadline)
    if database.isPooled {
      throw .refused(
        sqlState: "0A000", message: "migrations need a direct or session connection, not a transaction pooler")
    }
    _ = try database.query("select pg_advisory_lock(hashtext('leadpipe migrate'))::text", deadline: deadline)
    defer { database.close() }
    return try body()
  }

  private func transaction(_ body: () throws(StoreFailure) -> Void) throws(StoreFailure) {
    // A failed transaction is rolled back when `locked` closes the connection.
    try database.run(script: "begin", deadline: deadline)
    try body()
    try database.run(script: "commit", deadline: deadline)
  }
}
