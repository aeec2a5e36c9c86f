import ArgumentParser
import FoundationEssentials
import Glibc
import Store
import Wire

/// `leadpipe restore`: fills an empty database from a backup, checks a backup, or releases what a restore has held.
struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Restore a backup into the empty database at DATABASE_URL.",
    discussion: """
      The database must have no leads, agents, subscribers and users with roles; what else the product has in it is \
      replaced. Everything is loaded in one transaction: after a failure the database is as before. Then it is migrated to \
      the newest version. Notifications that were pending in the backup are held, because they may have been sent since; \
      --send-held sends them. A backup can contain any SQL: restore only files that you trust.
      """)

  @Argument(help: "A file of `leadpipe backup`.", completion: .file()) var file: String?
  @Flag(help: "Only read the whole FILE and report what it is. Needs no database.") var check = false
  @Flag(help: "Do not hold the notifications that were pending in the backup.") var sendPending = false
  @Flag(help: "Without FILE: send the notifications that a restore has held.")
  var sendHeld = false
  @Option(help: "How long it may take, such as 30m, 12h or 2d.") var timeLimit = TimeLimit.twelveHours
  @OptionGroup var actor: ActorOptions

  func validate() throws {
    guard (file == nil) == sendHeld else { throw ValidationError("Give either FILE or --send-held.") }
    guard !(check && (sendPending || sendHeld)) else { throw ValidationError("--check goes with FILE alone.") }
    guard !(sendPending && sendHeld) else { throw ValidationError("--send-pending goes with FILE.") }
  }

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    // Sending what is held can be interrupted at any time and called again.
    guard let name = file else { return try HeldNotifications(by: actor.name).release() }
    Interruption.catchSignals()
    let deadline = timeLimit.deadline
    // pg_restore would take it for an option.
    let file = name.hasPrefix("-") ? "./" + name : name
    guard access(file, R_OK) == 0 else {
      throw CommandError("cannot read \(file): \(String(cString: strerror(errno)))")
    }
    let archive = try Archive(file, try PostgresClient("pg_restore", for: nil))
    let versions = try archive.versions(until: deadline)
    if check {
      try archive.verify(until: deadline)
      return Self.show(archive, versions)
    }
    let url = try KnownSettings.ownerURL()
    let migrations = try Migrator(url: url).migrations()
    try Self.requireKnown(versions, migrations)
    let restore = Restore(archive: archive, url: url, migrations: migrations, deadline: deadline)
    let omitted = try restore.load(holding: !sendPending)
    try finish(url, archive, omitted)
  }

  /// Brings the restored database to the newest version, and reports.
  private func finish(_ url: String, _ archive: Archive, _ omitted: [String]) throws {
    let outcome: Ledger.Outcome
    do { outcome = try Migrator(url: url).migrate() } catch {
      throw CommandError("the backup is restored, but not migrated (\(error)); run `leadpipe migrate`")
    }
    let database = Database(url: url, statementSeconds: 600)
    let (contents, held) = try BackupFailure.translating(url) { () throws(StoreFailure) in
      let deadline = Instant.steady.adding(seconds: 600)
      return (
        try database.contents(deadline: deadline),
        try database.heldDeliveries(deadline: deadline).count + database.heldEvents(deadline: deadline).count
          + database.heldUnsentLeads(deadline: deadline)
      )
    }
    Listing.fields([
      ("backup of", archive.createdAt), ("leads", String(contents.leads)), ("events", String(contents.events)),
      ("migrated", outcome.applied.isEmpty ? "nothing to migrate" : outcome.applied.joined(separator: ", ")),
      ("notifications held", held == 0 ? "none" : "\(held); `leadpipe restore --send-held` sends them"),
    ])
    if !omitted.isEmpty {
      Console.print(
        "\nomitted, because these refer to tables that are not in the backup; run them when the rows are there:\n")
      Console.print(omitted.map { $0 + "\n" }.joined())
    }
    Console.print(
      "\nPasswords of roles are not in a backup: on a new cluster, set those of leadpipe_intake, leadpipe_worker and "
        + "leadpipe_admin again. The private database of `leadpipe up` has none.\n")
  }

  /// Throws if the backup was made by a later release.
  private static func requireKnown(_ versions: [(version: String, isOurs: Bool)], _ known: [Ledger.Migration]) throws {
    let newest = known.last?.version ?? ""
    let names = Set(known.map(\.version))
    let later = versions.filter { $0.isOurs && !names.contains($0.version) && $0.version > newest }.map(\.version)
    guard later.isEmpty else {
      throw CommandError(
        "the backup is of a later release: it has the migration\(later.count == 1 ? "" : "s") "
          + "\(later.joined(separator: ", ")), which this one does not know; restore it with that release")
    }
  }

  private static func show(_ archive: Archive, _ versions: [(version: String, isOurs: Bool)]) {
    Listing.fields([
      ("backup of", archive.createdAt), ("PostgreSQL", String(archive.server)),
      ("newest migration", versions.map(\.version).max() ?? ""), ("file", "complete"),
    ])
  }
}
