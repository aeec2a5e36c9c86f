import Wire

/// What `leadpipe check` asks a database about itself. Nothing here changes anything, and every login may ask it, except
/// where a comment says otherwise.
extension Database {
  /// Returns the version of the server and the name of the database.
  package func identity(deadline: Instant) throws(StoreFailure) -> String {
    try texts(
      "select format('PostgreSQL %s, database %s', split_part(version(), ' ', 2), current_database())",
      deadline: deadline
    ).first ?? ""
  }

  /// Returns the tables that do not exist, with their schemas.
  package func missingTables(deadline: Instant) throws(StoreFailure) -> [String] {
    let names =
      ProductSchema.publicTables.map { "public." + $0 } + ProductSchema.internalTables.map { "leadpipe." + $0 }
    return try texts(
      """
      select t from unnest($1::text[]) t where not exists (
        select from pg_catalog.pg_class c where c.relkind in ('r', 'p')
          and format('%s.%s', c.relnamespace::regnamespace, c.relname) = t)
      """, [Self.list(names)], deadline: deadline)
  }

  /// Returns the columns that public.conversations lacks.
  package func missingColumns(deadline: Instant) throws(StoreFailure) -> [String] {
    try texts(
      """
      select n from unnest($1::text[]) n where not exists (
        select from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
        where c.relnamespace = 'public'::regnamespace and c.relname = 'conversations' and a.attname = n
          and a.attnum > 0 and not a.attisdropped)
      """, [Self.list(ProductSchema.conversationColumns)], deadline: deadline)
  }

  /// Returns the versions in the ledger of the migrations. Only the owner of the database may read it.
  package func appliedMigrations(deadline: Instant) throws(StoreFailure) -> [String] {
    try texts("select version from supabase_migrations.schema_migrations", deadline: deadline)
  }

  /// Returns our tables without row-level security.
  package func unprotectedTables(deadline: Instant) throws(StoreFailure) -> [String] {
    try texts(
      """
      select c.relname from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relname = any ($1::text[]) and not c.relrowsecurity order by 1
      """, [Self.list(ProductSchema.publicTables)], deadline: deadline)
  }

  /// Returns the statements that take back what role anon may do with our tables. Empty if it may do nothing.
  package func rightsOfAnon(deadline: Instant) throws(StoreFailure) -> [String] {
    try texts(
      """
      select format('REVOKE ALL ON TABLE public.%I FROM PUBLIC, anon;', c.relname)
      from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relname = any ($1::text[])
        and has_table_privilege('anon', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
      union all
      select format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, anon;', f.oid::regprocedure)
      from pg_catalog.pg_proc f
      where f.pronamespace = 'public'::regnamespace and f.proname = any ($2::text[])
        and has_function_privilege('anon', f.oid, 'EXECUTE')
      """, [Self.list(ProductSchema.publicTables), Self.list(Function.allCases.map(\.rawValue))], deadline: deadline)
  }

  /// Reads each of our tables in the role of this connection, which is anon. Returns those that could be read. Throws if
  /// the login may not take the role.
  package func readableTables(deadline: Instant) throws(StoreFailure) -> [String] {
    _ = try texts("select current_user", deadline: deadline)
    var readable: [String] = []
    for table in ProductSchema.publicTables {
      do throws(StoreFailure) {
        _ = try query("select 1 from public.\(table) limit 1", deadline: deadline)
        readable.append(table)
      } catch {
        // Refused, or there is no such table.
        guard case .refused("42501", _, _) = error else {
          if case .refused("42P01", _, _) = error { continue }
          throw error
        }
      }
    }
    return readable
  }

  /// Returns the first column.
  func texts(_ statement: String, _ parameters: [String] = [], deadline: Instant) throws(StoreFailure) -> [String] {
    try query(statement, parameters, deadline: deadline).compactMap { $0.first ?? nil }
  }

  /// An array of names as PostgreSQL reads it.
  private static func list(_ names: [String]) -> String { "{\(names.joined(separator: ","))}" }
}
