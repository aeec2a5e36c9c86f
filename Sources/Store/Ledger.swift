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
  /// Holds the lock.
  private let turn: Database
  private let deadline: Instant

  /// How long a statement of a migration waits for a lock, and how long a run waits for another one.
  private static let lockSeconds = 5
  private static let turnSeconds = 60

  /// - Parameter seconds: the time limit of a run.
  package init(url: String, seconds: Int) {
    database = Database(url: url, statementSeconds: seconds, lockMilliseconds: Self.lockSeconds * 1000)
    turn = Database(url: url, statementSeconds: seconds, lockMilliseconds: Self.turnSeconds * 1000)
    deadline = Instant.steady.adding(seconds: seconds)
  }

  /// Applies all missing migrations. Concurrent calls wait for each other. The ledger may be empty although the files
  /// were run by hand: every migration can run again. The database may also have another project's migrations, even
  /// with the same version numbers.
  package func migrate(shim: String, _ migrations: [Migration]) throws(StoreFailure) -> Outcome {
    try locked { () throws(StoreFailure) in
      try database.run(script: shim, deadline: deadline)
      let ledger = try database.query(
        "select version from supabase_migrations.schema_migrations order by version", deadline: deadline)
      let known = Set(try database.query(Self.known, deadline: deadline).compactMap { $0.first ?? nil })
      var applied: [String] = []
      for migration in migrations where !known.contains(migration.version) {
        try retryingDeadlocks { () throws(StoreFailure) in
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
      try retryingDeadlocks { () throws(StoreFailure) in try database.run(script: script, deadline: deadline) }
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

  /// Runs `body` while another connection keeps the ledger locked, so that one run waits for the other. Unlike an
  /// advisory lock, only a login that may migrate can hold this lock.
  private func locked<R>(_ body: () throws(StoreFailure) -> R) throws(StoreFailure) -> R {
    _ = try database.query("select 1", deadline: deadline)
    let isPooled = database.isPooled
    if isPooled { try requireSessions() }
    defer {
      if isPooled { for session in [database, turn] { resetLimits(of: session) } }
      database.close()
      turn.close()
    }
    try createTable()
    try namingHolder(of: Self.ofAnotherRun) { () throws(StoreFailure) in
      try turn.run(
        script: """
          begin;
          set local idle_in_transaction_session_timeout = 0;
          lock table supabase_migrations.schema_migrations in share update exclusive mode;
          """, deadline: deadline)
    }
    return try namingHolder(of: Self.ofLongTransactions, body)
  }

  /// In session mode, both connections keep their sessions, whose time limits are then set here.
  private func requireSessions() throws(StoreFailure) {
    try database.requireSession(beside: turn, for: "migrations need", deadline: deadline)
    for session in [database, turn] { try session.setLimitsOfSession(deadline: deadline) }
  }

  /// A session that is lost or in a failed transaction is not passed on with the limits: the pooler closes it.
  private func resetLimits(of session: Database) {
    do throws(StoreFailure) {
      try session.run(script: "rollback", deadline: Instant.steady.adding(seconds: 2))
      try session.resetLimitsOfSession(deadline: Instant.steady.adding(seconds: 2))
    } catch {}
  }

  /// This lock conflicts with itself, but not with reads and inserts.
  private static let ofAnotherRun = """
    l.relation = 'supabase_migrations.schema_migrations'::regclass and l.mode = 'ShareUpdateExclusiveLock'
    """

  /// The locks that other transactions hold on our tables for longer than a statement of ours waits.
  private static let ofLongTransactions = """
    l.relation in (select oid from pg_class where relnamespace::regnamespace::text in ('public', 'leadpipe'))
    and coalesce(a.xact_start < clock_timestamp() - interval '\(lockSeconds)s', true)
    """

  /// Creates the ledger. Several calls can run at the same time: one that finds it half created tries again.
  private func createTable() throws(StoreFailure) {
    for _ in 0..<20 {
      do throws(StoreFailure) { return try database.run(script: Self.table, deadline: deadline) } catch {
        guard case .refused(let state, _, _) = error, ["23505", "42P06", "42P07"].contains(state) else { throw error }
      }
    }
    try database.run(script: Self.table, deadline: deadline)
  }

  /// Runs `body`. If a lock does not become free in time, the message of the failure names the sessions that hold the
  /// locks in `condition`.
  private func namingHolder<R>(of condition: String, _ body: () throws(StoreFailure) -> R) throws(StoreFailure) -> R {
    do throws(StoreFailure) { return try body() } catch {
      guard error.kind == .locked else { throw error }
      database.close()
      let holders = try database.query(
        """
        select format('pid %s, role %s, application_name %s, in a transaction since %s', l.pid, a.usename,
          quote_literal(left(a.application_name, 60)), coalesce(to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'), 'an unknown time'))
        from pg_locks l join pg_stat_activity a on a.pid = l.pid
        where l.granted and l.locktype = 'relation' and l.pid <> pg_backend_pid()
          and l.database = (select oid from pg_database where datname = current_database()) and \(condition)
        group by l.pid, a.usename, a.application_name, a.xact_start order by a.xact_start limit 3
        """, deadline: deadline
      ).compactMap { $0.first ?? nil }
      throw .refused(
        sqlState: "55P03",
        message: holders.isEmpty
          ? "another session held a lock for too long and has released it; try again"
          : "another session holds a lock: \(holders.joined(separator: "; ")); try again when it has ended its transaction, or "
            + "end it with SELECT pg_terminate_backend(pid);")
    }
  }

  /// Runs `body` as a transaction. While leads are captured, the first migrations may deadlock with a capture when they
  /// run again, because a DROP or CREATE locks the tables of its foreign keys. Such a transaction is tried again.
  private func retryingDeadlocks(_ body: () throws(StoreFailure) -> Void) throws(StoreFailure) {
    for _ in 1..<20 {
      do throws(StoreFailure) { return try transaction(body) } catch {
        guard case .refused("40P01", _, _) = error else { throw error }
        try database.run(script: "rollback", deadline: deadline)
      }
    }
    try transaction(body)
  }

  private func transaction(_ body: () throws(StoreFailure) -> Void) throws(StoreFailure) {
    // A failed transaction is rolled back when `locked` closes the connection.
    try database.run(script: "begin", deadline: deadline)
    try body()
    try database.run(script: "commit", deadline: deadline)
  }
}
