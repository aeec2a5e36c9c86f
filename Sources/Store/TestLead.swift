import Wire

extension Database {
  /// The statement that makes the next `leadpipe migrate` run these migrations again. Each can run again at any time.
  package static func forgetting(_ versions: [String]) -> String {
    let list = versions.map { "'\($0)'" }.joined(separator: ", ")
    return "DELETE FROM supabase_migrations.schema_migrations WHERE version IN (\(list));"
  }
}
