import ArgumentParser
import Contract
import FoundationEssentials
import Glibc
import Store
import Wire

struct Migrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bring the database at DATABASE_URL to the newest migration.",
    discussion: "Keeps the ledger of `supabase db push`. Any number may run at once.")

  func run() throws {
    let url = try KnownSettings.databaseURL()
    let outcome = try Migrator(url: url).migrate()
    print(outcome.applied.isEmpty ? "nothing to migrate" : "applied \(outcome.applied.joined(separator: ", "))")
    if !outcome.foreign.isEmpty {
      print("the ledger also has migrations of another project: \(outcome.foreign.joined(separator: ", "))")
    }
  }
}

struct Rollback: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Take the event system out of the database at DATABASE_URL; capture goes on.",
    discussion:
      "Events, timeline, follow-ups and notification logs are deleted. `leadpipe migrate` brings empty ones back.")

  @Flag(help: "Do it without asking.") var yes = false

  func run() throws {
    let url = try KnownSettings.databaseURL()
    guard yes else {
      throw CommandError("this deletes all events, timelines and notification logs; say --yes to do it")
    }
    try Migrator(url: url).rollback()
    print("rolled back to 20251219000000")
  }
}

/// The files of the folder `supabase`, applied through the ledger.
struct Migrator {
  let url: String

  /// A migration over large tables may take its time.
  private static let patienceSeconds = 3600

  func migrate() throws -> Ledger.Outcome {
    let folder = Layout().supabase
    let names = try FileManager.default.contentsOfDirectory(atPath: folder + "/migrations").filter {
      $0.hasSuffix(".sql")
    }
    let migrations = try names.sorted().map { file in
      let parts = file.dropLast(4).split(separator: "_", maxSplits: 1)
      return Ledger.Migration(
        version: String(parts[0]), name: parts.count > 1 ? String(parts[1]) : "",
        script: try Self.read(folder + "/migrations/" + file))
    }
    let shim = try Self.read(folder + "/shim.sql")
    return try tell { ledger throws(StoreFailure) in try ledger.migrate(shim: shim, migrations) }
  }

  func rollback() throws {
    let script = try Self.read(Layout().supabase + "/rollback/20251219000001_event_driven_lead_architecture.sql")
    try tell { ledger throws(StoreFailure) in try ledger.rollback(script: script) }
  }

  private func tell<R>(_ body: (Ledger) throws(StoreFailure) -> R) throws -> R {
    let ledger = Ledger(
      Database(url: url, statementSeconds: Self.patienceSeconds),
      deadline: Instant.now.adding(seconds: Self.patienceSeconds))
    do throws(StoreFailure) { return try body(ledger) } catch {
      switch error {
      case .away(let reason): throw CommandError("the database is away: \(reason)")
      case .timedOut: throw CommandError("the database did not answer in time")
      case .refused(let state, let message, _): throw CommandError("the database refused (\(state)): \(message)")
      }
    }
  }

  private static func read(_ path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8) else {
      throw CommandError("\(path) cannot be read")
    }
    return text
  }
}
