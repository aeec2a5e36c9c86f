import Wire

/// What a restore finds in the database that it is to fill.
package struct RestoreTarget: Sendable {
  /// The major version of the server.
  package let server: Int
  /// What would be lost, such as `2 leads`. Empty if the database may be filled.
  package let holds: [String]
  /// The tables and views of schema public that no migration of Leadpipe makes.
  package let foreignTables: [String]
  /// The versions in the ledger of the migrations.
  package let versions: [String]
}

extension Database {
  /// Examines the database that a backup is to be restored into. Changes nothing.
  /// - Parameter names: the names of schema public that Leadpipe's migrations use.
  package func restoreTarget(
    names: Set<String>, beside other: Database, deadline: Instant
  ) throws(StoreFailure) -> RestoreTarget {
    _ = try query("select 1", deadline: deadline)
    if isPooled { try requireSession(beside: other, for: "a restore needs", deadline: deadline) }
    other.close()
    var holds: [String] = []
    for (table, one, many) in RestoreScript.kept
    where try !texts("select 1 where to_regclass('public.\(table)') is not null", deadline: deadline).isEmpty {
      let count = try number("select count(*) from public.\(table)", deadline: deadline)
      if count > 0 { holds.append("\(count) \(count == 1 ? one : many)") }
    }
    let tables = try texts(
      """
      select c.relname from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') and not exists (
        select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e') order by 1
      """, deadline: deadline)
    let hasLedger =
      try texts(
        "select 1 where to_regclass('supabase_migrations.schema_migrations') is not null", deadline: deadline) == ["1"]
    return RestoreTarget(
      server: try serverVersion(deadline: deadline), holds: holds, foreignTables: tables.filter { !names.contains($0) },
      versions: hasLedger
        ? try texts("select version from supabase_migrations.schema_migrations order by version", deadline: deadline)
        : [])
  }
}
