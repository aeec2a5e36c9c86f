import Contract
import Glibc
import Store
import StoreAccess
import Transports
import Wire

/// One run of the checklist: the deployment, and what has been found so far.
final class CheckRun {
  let environment: [String: String]
  /// The public address, without a slash at its end.
  let base: String
  /// What has been found, by the id of the item.
  var findings: [String: Finding] = [:]
  let testLead = TestLead()
  var session: CheckSession?
  /// The replies to dry requests, by path. Several items look at them, so that few are sent.
  var replies: [String: WebReply] = [:]
  /// The cursor of the live stream before the test lead was submitted.
  var liveCursor: String?
  private let web: WebTransfer

  /// How long a request to the instance, or a call to its database, may take.
  static let seconds = 10

  /// - Parameter url: the public address; nil for this machine and PORT.
  init(_ environment: [String: String], url: String?) throws(Problem) {
    self.environment = environment
    var base = url ?? String(PanelLink(environment).text.dropLast("/admin".count))
    while base.hasSuffix("/") { base.removeLast() }
    self.base = base
    web = try WebTransfer()
  }

  // MARK: - The instance

  /// Sends a request to the instance. `limit` and `until` are those of `WebTransfer.send`.
  func send(
    _ method: String, _ path: String, headers: [String] = [], body: JSON? = nil, seconds: Int = CheckRun.seconds,
    limit: Int = 65_536, until isEnough: (([UInt8]) -> Bool)? = nil
  ) -> WebReply {
    guard let address = WebAddress(base + path) else {
      return WebReply(failure: "\(base)\(path) is no address")
    }
    return web.send(
      method, address, headers: headers, body: body, milliseconds: seconds * 1000, limit: limit, until: isEnough)
  }

  /// Returns the reply to a request that stores nothing: its body has none of the required fields. Sent once.
  func dryReply(_ path: String) -> WebReply {
    if let reply = replies[path] { return reply }
    let reply = send("POST", path, body: [:])
    replies[path] = reply
    return reply
  }

  // MARK: - The database

  /// The login of the operator; nil if the settings have none.
  var databaseURL: String? { environment["DATABASE_URL"] ?? environment["DATABASE_URL_ADMIN"] }

  /// The project's REST interface, where it takes the place of a login: Leadpipe's functions can be called, and nothing
  /// else can be asked.
  lazy var rest: RestAddress? =
    databaseURL != nil
    ? nil : (try? Settings(RestAddress.settings, from: environment)).flatMap { RestAddress($0) }

  /// True if the settings lead to the instance's database.
  var hasDatabase: Bool { databaseURL != nil || rest != nil }

  /// A connection of that login, for questions about the database itself.
  lazy var database: Database? = databaseURL.map { Database(url: $0, lockMilliseconds: 5000) }

  /// The role that Leadpipe's functions are called in; nil if the login has their rights itself.
  var adminRole: String? { environment["DATABASE_URL_ADMIN"] == nil ? "leadpipe_admin" : nil }

  private lazy var functions: Database? =
    (environment["DATABASE_URL_ADMIN"] ?? databaseURL).map {
      Database(url: $0, role: adminRole, lockMilliseconds: 5000)
    } ?? rest.map { Database(rest: $0) }

  /// Calls a function as class admin does.
  func call(_ function: Function, _ argument: JSON) throws(StoreFailure) -> JSON {
    guard let functions else { throw .unavailable("no database in the settings") }
    return try functions.call(function, argument, deadline: deadline)
  }

  var deadline: Instant { Instant.steady.adding(seconds: Self.seconds) }

  /// Asks the database. A failure to ask is itself the finding.
  func asking(_ body: (Database) throws(StoreFailure) -> Finding) -> Finding {
    guard let database else {
      return rest == nil
        ? .skipped("no database in the settings")
        : .unseen("cannot be seen by REST: run this command with DATABASE_URL")
    }
    do throws(StoreFailure) { return try body(database) } catch { return Self.finding(error) }
  }

  /// What a failed question to the database means. A login without the right to ask is no fault of the deployment.
  static func finding(_ failure: StoreFailure) -> Finding {
    if case .refused("42501", let message, _) = failure {
      return .unseen("the login in DATABASE_URL may not find out: \(message)")
    }
    return .failed(
      "the database: \(describe(failure))", fix: "see what the database's log says, and run this command again")
  }

  static func describe(_ failure: StoreFailure) -> String {
    if case .refused(let state, let message, _) = failure { return "\(message) (\(state))" }
    return failure.brief
  }

  /// Waits until `condition` returns a value, at most `seconds`. Nil if it does not, or after an interruption.
  func wait<R>(_ seconds: Int, for condition: () -> R?) -> R? {
    let end = Instant.steady.adding(seconds: seconds)
    while true {
      if let value = condition() { return value }
      if .steady >= end || Interruption.isRequested { return nil }
      usleep(200_000)
    }
  }
}
