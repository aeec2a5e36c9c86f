import FoundationEssentials
import Store
import Wire

/// Loads a backup into a database. pg_restore writes SQL, section by section; psql runs it in one transaction, together
/// with the statements of `RestoreScript`. The transaction is committed only if every section was read to its end.
struct Restore {
  let archive: Archive
  let url: String
  let migrations: [Ledger.Migration]
  let deadline: Instant

  /// Returns the statements of the foreign keys that were left out.
  /// - Parameter holding: true to hold the notifications that are pending in the backup.
  func load(holding: Bool) throws -> [String] {
    let psql = try PostgresClient("psql", for: url)
    let names = namesInPublic
    let server = try requireEmpty(names)
    let shim = try Migrator.read(Layout().supabase + "/shim.sql")
    let keys = try archive.outwardKeys(until: deadline)
    let list = archive.list(without: keys.map(\.entry))
    let reason =
      "\(RestoreScript.heldPrefix): the backup is from \(archive.createdAt), and this may have been sent since. "
      + "leadpipe restore --send-held sends it."
    let session = try ClientProcess(
      psql, ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null"] + psql.address)
    func run(_ section: String) throws {
      var header = SectionHeader(server: server)
      try archive.script(of: section).read(list, until: deadline) { bytes in
        try session.write(header.take(bytes), until: deadline)
      }
      try session.write(header.rest, until: deadline)
    }
    var isCommitting = false
    do {
      try session.write(RestoreScript.opening(shim: shim, names: names), until: deadline)
      try run("pre-data")
      try session.write(RestoreScript.beforeRows, until: deadline)
      try run("data")
      try session.write(RestoreScript.afterRows(hold: holding ? reason : nil), until: deadline)
      try run("post-data")
      try session.write(RestoreScript.closing, until: deadline)
      try session.end(until: deadline) { _ in isCommitting = true }
    } catch let error as CommandError {
      throw CommandError(
        isCommitting
          ? "\(error); the backup may be restored nevertheless: if the leads are there, run `leadpipe migrate`"
          : "\(error); the database is as before")
    }
    return keys.map(\.statement)
  }

  /// Throws unless the database may be filled. Returns the major version of its server.
  private func requireEmpty(_ names: Set<String>) throws -> Int {
    let target = try BackupFailure.translating(url) { () throws(StoreFailure) in
      try Database(url: url, statementSeconds: 60).restoreTarget(
        names: names, beside: Database(url: url), deadline: min(deadline, .steady.adding(seconds: 60)))
    }
    guard target.holds.isEmpty else {
      throw CommandError(
        "the database already holds \(target.holds.joined(separator: ", ")): restore into an empty one")
    }
    guard target.foreignTables.isEmpty else {
      throw CommandError(
        "schema public already has other tables: \(target.foreignTables.prefix(10).joined(separator: ", ")); restore into "
          + "an empty database")
    }
    let known = Set(migrations.map(\.version))
    let foreign = target.versions.filter { !known.contains($0) }
    guard foreign.isEmpty else {
      throw CommandError(
        "the migration table lists migrations that this release does not have: \(foreign.joined(separator: ", ")); restore "
          + "into an empty database")
    }
    guard archive.server <= target.server else {
      throw CommandError(
        "the backup is from PostgreSQL \(archive.server), but this server is \(target.server): restore it on "
          + "\(archive.server) or later")
    }
    return target.server
  }

  /// The names that the migrations use in schema public: `public.NAME`.
  private var namesInPublic: Set<String> {
    let prefix = Array("public.".utf8)
    let parts = migrations.flatMap {
      Array($0.script.utf8).split(separator: prefix, omittingEmptySubsequences: false).dropFirst()
    }
    return Set(parts.map { String(decoding: $0.prefix(while: Self.isOfName), as: UTF8.self) }).subtracting([""])
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    0x61...0x7A ~= byte || 0x30...0x39 ~= byte || byte == UInt8(ascii: "_")
  }
}
