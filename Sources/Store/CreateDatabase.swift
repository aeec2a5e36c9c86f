import Wire

extension Database {
  /// Creates an empty database in the cluster of this connection, unless it exists. The name is not escaped: it must
  /// not come from user input.
  package func create(named name: String, deadline: Instant) throws(StoreFailure) {
    let rows = try query("select 1 from pg_database where datname = $1", [name], deadline: deadline)
    if rows.isEmpty { try run(script: "create database \(name)", deadline: deadline) }
  }
}
