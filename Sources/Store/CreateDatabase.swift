import Wire

extension Database {
  /// Makes an empty database in the cluster of this connection, unless it is there. The name is ours, not a user's.
  package func create(named name: String, deadline: Instant) throws(StoreFailure) {
    let rows = try query("select 1 from pg_database where datname = $1", [name], deadline: deadline)
    if rows.isEmpty { try run(script: "create database \(name)", deadline: deadline) }
  }
}
