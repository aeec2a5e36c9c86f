import Admin
import ArgumentParser
import Contract
import Forms
import Glibc
import Leads
import Store
import StoreAccess
import Wire

/// Where the operator's commands ask: the database with the rights of leadpipe_admin, by its own login where
/// DATABASE_URL_ADMIN gives one.
struct OperatorDesk {
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

  /// Calls a function; a failure ends the command with the exit status of its kind and a sentence.
  func ask(_ function: Function, _ question: JSON) throws -> JSON {
    do throws(Problem) {
      return try database.call(
        function, question.withoutNulls, deadline: Instant.now.adding(seconds: 15), log: log)
    } catch {
      Console.tell("\(error.detail)\n")
      throw ExitCode(ExitStatus.of(status: error.kind.status))
    }
  }

  /// The agency's hours and clock, and from which deadlines on a conversation is in warning by them.
  func office() throws -> (hours: OfficeHours?, clock: LocalClock, warnBefore: JSON) {
    do throws(Problem) {
      let hours = try OfficeHours(settings)
      return (hours, try LocalClock(settings), AdminEndpoint.warnBefore(.now, hours))
    } catch {
      Console.tell("\(error.detail)\n")
      throw ExitCode(ExitStatus.misconfigured)
    }
  }

  /// Wakes the workers, as far as their socket is known here; they poll too.
  func wakeWorkers() {
    let afterwards = Afterwards()
    WakeCall(settings, over: database, afterwards).send()
    afterwards.finish(now: .now, log: log)
  }

  /// Asks until the function says that nothing is left, from where the last answer ended; the deliveries of all answers.
  func askOn(_ function: Function, _ question: JSON) throws -> (deliveries: [JSON], refused: [JSON]) {
    var question = question
    var deliveries: [JSON] = []
    while true {
      let reply = try ask(function, question)
      deliveries += reply["deliveries"]?.array ?? []
      guard reply["isComplete"]?.bool == false else { return (deliveries, reply["refused"]?.array ?? []) }
      question = question.setting("asOf", reply["asOf"] ?? .null).setting("after", reply["after"] ?? .null)
    }
  }

  /// The sentence with which a command that found fault with what it was asked for ends (EX_DATAERR).
  static func refuse(_ sentence: String) -> ExitCode {
    Console.tell(sentence + "\n")
    return ExitCode(65)
  }
}

/// Rows for people, or a JSON document a line for programs.
struct Listing {
  let isJSON: Bool

  /// `columns` take a row apart; the last one may be as long as it likes.
  func show(_ rows: [JSON], _ columns: [(title: String, text: @Sendable (JSON) -> String)]) {
    if isJSON { return rows.forEach { Console.say($0.text + "\n") } }
    guard !rows.isEmpty else { return }
    let cells = [columns.map(\.title)] + rows.map { row in columns.map { Self.plain($0.text(row)) } }
    let widths = columns.indices.map { column in cells.map { $0[column].unicodeScalars.count }.max() ?? 0 }
    for line in cells {
      let padded = zip(line, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.unicodeScalars.count)
      }
      let text = padded.joined(separator: "  ")
      Console.say(String(text.reversed().drop { $0 == " " }.reversed()) + "\n")
    }
  }

  /// One line without control characters, however it came into the database; `-` where there is nothing.
  static func plain(_ text: String) -> String {
    let clean = cleanText(text).split(separator: "\n").joined(separator: " ")
    return clean.isEmpty ? "-" : clean
  }

  /// A recipient as a table shows it: of a mail address the first letter and the domain.
  @Sendable static func recipient(_ row: JSON) -> String {
    let text = row["recipient"]?.string ?? ""
    guard let at = text.lastIndex(of: "@"), row["channel"]?.string == "email" else { return text }
    return text.prefix(1) + "…" + text[at...]
  }

  /// A member as text.
  static func member(_ name: String) -> @Sendable (JSON) -> String {
    { row in row[name].flatMap { $0.string ?? $0.integer.map(String.init) } ?? "" }
  }

  /// What every list of deliveries shows.
  static let deliveries: [(title: String, text: @Sendable (JSON) -> String)] = [
    ("ID", member("id")), ("CREATED", member("createdAt")), ("CHANNEL", member("channel")), ("RECIPIENT", recipient),
    ("STATE", member("state")), ("CLASS", member("class")), ("TRIES", member("tries")),
    ("NEXT", member("nextAttemptAt")), ("REASON", member("reason")),
  ]
}
