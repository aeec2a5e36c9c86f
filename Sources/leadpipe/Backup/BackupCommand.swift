import ArgumentParser
import Glibc
import Store
import Wire

/// `leadpipe backup`: writes a dump of the database to a file.
struct BackupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup", abstract: "Write a backup of the database at DATABASE_URL to a file, while captures go on.",
    discussion: """
      Runs pg_dump for the schemas public, leadpipe and supabase_migrations, with the login of the database's owner. \
      FILE appears when it is whole and has been read back; only its owner can read it. It contains personal data, but \
      no passwords of database roles and no settings. `leadpipe restore` reads it.
      """)

  @Argument(help: "The file to write.", completion: .file()) var file: String
  @Flag(help: "Replace FILE if it exists.") var overwrite = false
  @Option(help: "How long it may take, such as 30m, 12h or 2d.") var timeLimit = TimeLimit.twelveHours
  @Flag(help: "Print one JSON document.") var json = false

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    Interruption.catchSignals()
    let deadline = timeLimit.deadline
    let url = try KnownSettings.ownerURL()
    let dump = try PostgresClient("pg_dump", for: url)
    let reader = try PostgresClient("pg_restore", for: nil)
    let database = Database(url: url, statementSeconds: 600)
    let snapshot = try BackupFailure.translating(url) { () throws(StoreFailure) in
      try database.exportSnapshot(beside: Database(url: url), deadline: min(deadline, .steady.adding(seconds: 600)))
    }
    try dump.require(atLeast: snapshot.contents.server)
    let target = try BackupFile(file, replaces: overwrite)
    try ClientProcess(
      dump,
      ["--format=custom", "--no-password", "--lock-wait-timeout=60s", "--snapshot=\(snapshot.name)"]
        + Archive.schemas.map { "--schema=\($0)" } + ["--file=\(target.temporary)"] + dump.address
    ).read(until: deadline) { _ in }
    // The session has kept the snapshot until here.
    database.close()
    try Archive(target.temporary, reader).verify(until: deadline)
    let bytes = try target.keep()
    report(snapshot.contents, bytes)
  }

  private func report(_ contents: DatabaseContents, _ bytes: Int) {
    let version = contents.versions.last ?? ""
    if json {
      let document: JSON = [
        "file": .string(file), "leads": JSON(contents.leads), "events": JSON(contents.events),
        "migration": .string(version), "server": JSON(contents.server), "bytes": JSON(bytes),
      ]
      return Console.print(document.text + "\n")
    }
    Listing.fields([
      ("file", file), ("leads", String(contents.leads)), ("events", String(contents.events)),
      ("newest migration", version), ("PostgreSQL", String(contents.server)), ("bytes", String(bytes)),
    ])
  }
}
