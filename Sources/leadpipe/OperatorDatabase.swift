import Admin
import ArgumentParser
import Contract
import Forms
import Glibc
import Leads
import Store
import StoreAccess
import Wire

/// Database access for the operator's commands, with the rights of leadpipe_admin: through the login in
/// DATABASE_URL_ADMIN if it is set, else through DATABASE_URL with that role.
struct OperatorDatabase {
  private let database: Database
  private let log: Log
  private let settings: Settings

  init() throws {
    let environment = KnownSettings.given()
    settings = try KnownSettings.check(environment)
    log = Log(environment)
    database =
      if let own = environment["DATABASE_URL_ADMIN"] {
        Database(url: own)
      } else {
        Database(url: try KnownSettings.databaseURL(), role: "leadpipe_admin")
      }
  }

  /// Calls a database function, with a time limit of 15 seconds. An error ends the command with a message on stderr
  /// and the exit status of its kind.
  func call(_ function: Function, _ argument: JSON) throws -> JSON {
    do throws(Problem) {
      return try database.call(
        function, argument.withoutNulls, deadline: Instant.now.adding(seconds: 15), log: log)
    } catch {
      Console.printError("\(error.detail)\n")
      throw ExitCode(ExitStatus.of(status: error.kind.status))
    }
  }

  /// Returns the office hours, the office clock and, for each lead quality, the latest deadline that means `warning`.
  func office() throws -> (hours: OfficeHours?, clock: LocalClock, warnBefore: JSON) {
    do throws(Problem) {
      let hours = try OfficeHours(settings)
      return (hours, try LocalClock(settings), AdminEndpoint.warnBefore(.now, hours))
    } catch {
      Console.printError("\(error.detail)\n")
      throw ExitCode(ExitStatus.misconfigured)
    }
  }

  /// Wakes the workers if their socket is set in this environment. Otherwise they notice the change at their next poll.
  func wakeWorkers() {
    let afterwards = Afterwards()
    WakeCall(settings, over: database, afterwards).send()
    afterwards.finish(now: .now, log: log)
  }

  /// Calls a batch function repeatedly, each time from where the last reply ended, until it reports completion.
  /// Returns the deliveries of all replies, and what the last one refused.
  func callInBatches(_ function: Function, _ argument: JSON) throws -> (deliveries: [JSON], refused: [JSON]) {
    var argument = argument
    var deliveries: [JSON] = []
    while true {
      let reply = try call(function, argument)
      deliveries += reply["deliveries"]?.array ?? []
      guard reply["isComplete"]?.bool == false else { return (deliveries, reply["refused"]?.array ?? []) }
      argument = argument.setting("asOf", reply["asOf"] ?? .null).setting("after", reply["after"] ?? .null)
    }
  }

  /// Prints an error about the command's input, and returns exit status 65 (EX_DATAERR) for the caller to throw.
  static func refuse(_ sentence: String) -> ExitCode {
    Console.printError(sentence + "\n")
    return ExitCode(65)
  }
}

/// Prints rows as a table, or as one JSON document per line.
struct Listing {
  let isJSON: Bool

  /// Prints the rows; `columns` gives the title and the text of each table column. A table without rows prints nothing.
  func show(_ rows: [JSON], _ columns: [(title: String, text: @Sendable (JSON) -> String)]) {
    if isJSON { return rows.forEach { Console.print($0.text + "\n") } }
    guard !rows.isEmpty else { return }
    let cells = [columns.map(\.title)] + rows.map { row in columns.map { Self.plain($0.text(row)) } }
    let widths = columns.indices.map { column in cells.map { $0[column].unicodeScalars.count }.max() ?? 0 }
    for line in cells {
      let padded = zip(line, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.unicodeScalars.count)
      }
      let text = padded.joined(separator: "  ")
      Console.print(String(text.reversed().drop { $0 == " " }.reversed()) + "\n")
    }
  }

  /// Returns the text on one line without control characters, because stored text may contain any; `-` if it is empty.
  static func plain(_ text: String) -> String {
    let clean = cleanText(text).split(separator: "\n").joined(separator: " ")
    return clean.isEmpty ? "-" : clean
  }

  /// The recipient as a table shows it. An email address is reduced to its first letter and its domain.
  @Sendable static func recipient(_ row: JSON) -> String {
    let text = row["recipient"]?.string ?? ""
    guard let at = text.lastIndex(of: "@"), row["channel"]?.string == "email" else { return text }
    return text.prefix(1) + "…" + text[at...]
  }

  /// Returns a function that reads a member of a row as text; an empty string if the row has no such member.
  static func member(_ name: String) -> @Sendable (JSON) -> String {
    { row in row[name].flatMap { $0.string ?? $0.integer.map(String.init) } ?? "" }
  }

  /// The columns of every list of deliveries.
  static let deliveries: [(title: String, text: @Sendable (JSON) -> String)] = [
    ("ID", member("id")), ("CREATED", member("createdAt")), ("CHANNEL", member("channel")), ("RECIPIENT", recipient),
    ("STATE", member("state")), ("CLASS", member("class")), ("TRIES", member("tries")),
    ("NEXT", member("nextAttemptAt")), ("REASON", member("reason")),
  ]
}
