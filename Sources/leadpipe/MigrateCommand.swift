import ArgumentParser
import Contract
import FoundationEssentials
import Glibc
import Store
import Wire

struct Migrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Migrate the database at DATABASE_URL to the latest version.",
    discussion: "Uses the same migration table as `supabase db push`. Several can run at the same time.")

  func run() throws {
    let url = try KnownSettings.ownerURL()
    let outcome = try Migrator(url: url).migrate()
    print(outcome.applied.isEmpty ? "nothing to migrate" : "applied \(outcome.applied.joined(separator: ", "))")
    if !outcome.foreign.isEmpty {
      print("the migration table also lists migrations of another project: \(outcome.foreign.joined(separator: ", "))")
    }
  }
}

struct Rollback: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Remove the event system from the database at DATABASE_URL. Lead capture still works.",
    discussion:
      """
      Deletes events, timelines, follow-ups and notification logs. Leads that have not been announced are kept: a worker \
      with DIRECT_NOTIFICATIONS=true sends them. `leadpipe migrate` creates the tables again, empty.
      """)

  @Flag(help: "Confirm the deletion.") var yes = false

  func run() throws {
    let url = try KnownSettings.ownerURL()
    guard yes else {
      throw CommandError("this deletes all events, timelines and notification logs; use --yes to confirm")
    }
    try Migrator(url: url).rollback()
    print("rolled back to 20251219000000")
  }
}

/// Applies the SQL files of the folder `supabase` through the ledger.
struct Migrator {
  let url: String

  /// Migrations of large tables may take long.
  private static let timeoutSeconds = 3600

  func migrate() throws -> Ledger.Outcome {
    let migrations = try migrations()
    let shim = try Self.read(Layout().supabase + "/shim.sql")
    return try withLedger { ledger throws(StoreFailure) in try ledger.migrate(shim: shim, migrations) }
  }

  /// The migrations of this release, in order.
  func migrations() throws -> [Ledger.Migration] {
    let folder = Layout().supabase
    let names = try FileManager.default.contentsOfDirectory(atPath: folder + "/migrations").filter {
      $0.hasSuffix(".sql")
    }
    return try names.sorted().map { file in
      let parts = file.dropLast(4).split(separator: "_", maxSplits: 1)
      return Ledger.Migration(
        version: String(parts[0]), name: parts.count > 1 ? String(parts[1]) : "",
        script: try Self.read(folder + "/migrations/" + file))
    }
  }

  func rollback() throws {
    let script = try Self.read(Layout().supabase + "/rollback/20251219000001_event_driven_lead_architecture.sql")
    try withLedger { ledger throws(StoreFailure) in try ledger.rollback(script: script) }
  }

  private func withLedger<R>(_ body: (Ledger) throws(StoreFailure) -> R) throws -> R {
    let ledger = Ledger(url: url, seconds: Self.timeoutSeconds)
    do throws(StoreFailure) { return try body(ledger) } catch {
      switch error {
      case .unavailable(let reason) where reason.hasPrefix("database \""):
        throw CommandError("\(reason): create it, or correct DATABASE_URL")
      case .unavailable(let reason): throw CommandError("the database is unavailable: \(reason)")
      case .timedOut: throw CommandError("the database did not respond in time")
      case .refused("42501", let message, _):
        throw CommandError(Self.missingRight(message, user: ClassLogins.user(url) ?? "USER"))
      case .refused("55P03", let message, _): throw CommandError(message)
      case .refused(let state, let message, _): throw CommandError("the database reported error \(state): \(message)")
      }
    }
  }

  /// Returns what a login lacks for the migrations, with the statement that grants it.
  static func missingRight(_ message: String, user: String) -> String {
    let name = ClassLogins.quoted(user)
    let statement: String? =
      if message.hasSuffix(" role") {
        "ALTER ROLE \(name) CREATEROLE;"
      } else if message.contains("for schema public") {
        "GRANT ALL ON SCHEMA public TO \(name);"
      } else if let start = message.firstRange(of: "for database ")?.upperBound {
        "GRANT CREATE ON DATABASE \(ClassLogins.quoted(String(message[start...]))) TO \(name);"
      } else {
        nil
      }
    let advice = statement.map { "run as a superuser: \($0)" } ?? "migrate with the login of the database's owner"
    return "\(user), the login in DATABASE_URL, lacks a right for the migrations (\(message)); \(advice)"
  }

  /// Returns the text of one of these files.
  static func read(_ path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8) else {
      throw CommandError("cannot read \(path)")
    }
    return text
  }
}
