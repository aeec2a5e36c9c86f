import Admin
import ArgumentParser
import Contract
import Glibc
import Leads
import Store
import StoreAccess
import Terminal
import Wire

/// Database access for the operator's commands, with the rights of leadpipe_admin: through the login in
/// DATABASE_URL_ADMIN if it is set, else through DATABASE_URL with that role, else by REST with a project's key.
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
      } else if let address = RestAddress(settings) {
        Database(rest: address)
      } else {
        Database(url: try KnownSettings.databaseURL(), role: "leadpipe_admin")
      }
  }

  /// Calls a database function, with a time limit of 15 seconds. An error ends the command with a message on stderr
  /// and the exit status of its kind.
  func call(_ function: Function, _ argument: JSON) throws -> JSON {
    do throws(Problem) {
      return try database.call(
        function, argument.withoutNulls, deadline: Instant.steady.adding(seconds: 15), log: log)
    } catch {
      Console.printError("\(error.detail)\n")
      throw ExitCode(ExitStatus.of(status: error.kind.status))
    }
  }

  /// How long leads are kept.
  var retention: Retention { Retention(settings) }

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

  /// Why the settings assign no leads to agents. Nil if they do.
  var notAssigning: String? { AutoAssign.reasonForNone(settings) }

  /// Wakes the workers if their socket is set in this environment. Otherwise they notice the change at their next poll.
  func wakeWorkers() {
    let afterwards = Afterwards()
    WakeCall(settings, over: database, afterwards).send()
    afterwards.finish(now: .steady, log: log)
  }

  /// Calls a batch function repeatedly, each time from where the last reply ended, until it reports completion.
  /// Returns the deliveries of all replies, and what the last one refused.
  func callInBatches(
    _ function: Function, _ argument: JSON
  ) throws -> (deliveries: [JSON], refused: [JSON], events: [JSON]) {
    var argument = argument
    var (deliveries, events): ([JSON], [JSON]) = ([], [])
    while true {
      let reply = try call(function, argument)
      deliveries += reply["deliveries"]?.array ?? []
      events += reply["events"]?.array ?? []
      guard reply["isComplete"]?.bool == false else { return (deliveries, reply["refused"]?.array ?? [], events) }
      argument = argument.setting("asOf", reply["asOf"] ?? .null).setting("after", reply["after"] ?? .null)
    }
  }

  /// Returns at most `limit` rows of a list, which are requested by cursor in pages, and whether there are more.
  func rows(of function: Function, _ argument: JSON, limit: Int) throws -> (rows: [JSON], hasMore: Bool) {
    var rows: [JSON] = []
    var cursor = JSON.null
    repeat {
      let page = try call(
        function, argument.setting("limit", JSON(limit - rows.count)).setting("cursor", cursor))
      rows += page["data"]?.array ?? []
      cursor = page["nextCursor"] ?? .null
    } while rows.count < limit && !cursor.isNull
    return (rows, !cursor.isNull)
  }

  /// The tables whose rows have ids that a person may type.
  enum Kind: String { case conversation, delivery, event, agent }

  /// Returns the whole id of a row. If its beginning was given, exactly one row of these tables must have it; otherwise
  /// the command ends with an error.
  func id(_ given: RowID, of kinds: Kind...) throws -> String {
    if let whole = given.prefix.id { return whole }
    let reply = try call(
      .findIDs, ["prefix": .string(given.prefix.digits), "kinds": .array(kinds.map { .string($0.rawValue) })])
    let ids = (reply["ids"]?.array ?? []).compactMap(\.string)
    let names = kinds.map(\.rawValue).joined(separator: " or ")
    guard let id = ids.first else { throw Self.refuse("no \(names) has an id that begins with \(given.text)") }
    guard ids.count == 1 else {
      throw Self.refuse("\(given.text) is ambiguous: \(ids.joined(separator: ", "))\(ids.count == 5 ? ", …" : "")")
    }
    return id
  }

  /// Returns the whole ids as a JSON array; null if there are none.
  func ids(_ given: [RowID], of kind: Kind) throws -> JSON {
    given.isEmpty ? .null : .array(try given.map { .string(try id($0, of: kind)) })
  }

  /// Prints an error about the command's input, and returns exit status 65 (EX_DATAERR) for the caller to throw.
  static func refuse(_ sentence: String) -> ExitCode {
    Console.printError(sentence + "\n")
    return ExitCode(65)
  }
}
