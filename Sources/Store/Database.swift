import CPostgres
import Glibc
import Wire

/// A connection to PostgreSQL, or to a project's REST interface, which calls functions and nothing else. It is opened at
/// the first call and reopened after it broke. No call waits beyond its deadline. Not thread-safe.
package final class Database {
  private let url: String
  /// True if functions are called through a project's REST interface.
  package let isRemote: Bool
  /// Nil if they are called in a session.
  let rest: RestSession?
  let role: String?
  let statementSeconds: Int
  let lockMilliseconds: Int
  private var connection: OpaquePointer?
  /// When the connection was last known to work, on both clocks: the steady clock stands still while Lambda has frozen
  /// the machine, and the wall clock may be set back.
  private var workedAt = (steady: Instant.steady, wall: Instant.now)
  /// What became of the start-up options. Until the first call has asked the server, they count as accepted.
  package private(set) var options: StartUpOptions
  /// True if there is a pooler in front of the server that does not pass start-up options on. The settings that the
  /// options would contain are then sent with each call.
  package var isPooled: Bool { options != .accepted }
  /// What the caller may do while the server works on a statement. `work` does a little of it, without waiting for
  /// anything; its argument is true if the descriptor can be read. It returns what is needed for more.
  package var meanwhile: (descriptor: Int32, work: (Bool) -> WorkNeed)?
  /// True if the last attempt to connect got a reply, from the server or from a pooler in front of it.
  package private(set) var hasReply = false
  /// True if the server of the session has become a standby: the next session may lead to the new primary.
  private var isStandby = false
  /// True if the server has the options of this connection, so that no call needs to send settings.
  private var hasOptions = false

  /// A connection that was idle for longer is asked for a sign of life before it is used: routers forget idle
  /// connections without a word, and a frozen process does not notice that its peer has gone.
  private static let idleSeconds = 30
  /// How long that may take, in milliseconds.
  private static let probeMilliseconds = 1000

  /// Opens nothing yet. If the URL has a value for `options`, even an empty one, it leads to a pooler: no other options
  /// are sent, and the first connection does not have to find that out.
  /// - Parameters:
  ///   - statementSeconds: the server's time limit for a statement.
  ///   - lockMilliseconds: how long a statement waits for a lock; 0 for no limit.
  package init(url: String, role: String? = nil, statementSeconds: Int = 10, lockMilliseconds: Int = 0) {
    self.url = url
    isRemote = false
    rest = nil
    self.role = role
    self.statementSeconds = statementSeconds
    self.lockMilliseconds = lockMilliseconds
    options = url.contains("options") && ConnectionString(url)?["options"] != nil ? .notSent : .accepted
  }

  /// Functions are called through a project's REST interface. The time limits of statements are the project's own, and
  /// calls end at their deadlines. Everything else that needs a session fails.
  package init(rest address: RestAddress) {
    url = ""
    isRemote = true
    rest = RestSession(address)
    role = nil
    statementSeconds = 0
    lockMilliseconds = 0
    options = .accepted
  }

  deinit { close() }

  /// Runs one statement with text parameters and returns its rows as text.
  package func query(
    _ statement: String, _ parameters: [String] = [], deadline: Instant
  ) throws(StoreFailure) -> [[String?]] {
    try query(statement, parameters.map { Array($0.utf8) + [0] }, deadline: deadline)
  }

  /// The same with parameters in UTF-8, each with a NUL at its end and no other, so that a large one is copied once.
  /// - Parameter working: false to do nothing of what `meanwhile` has.
  func query(
    _ statement: String, _ parameters: [[UInt8]], deadline: Instant, working: Bool = true
  ) throws(StoreFailure) -> [[String?]] {
    let connection = try open(deadline: deadline)
    if !hasOptions || role != nil {
      return try queryWithSettings(statement, parameters, connection, deadline, working: working)
    }
    guard Self.send(statement, parameters, connection) else { throw broken(connection) }
    let (tables, failure) = try results(of: connection, deadline: deadline, working: working)
    if let failure { throw failure }
    return tables.last ?? []
  }

  private static func send(_ statement: String, _ parameters: [[UInt8]], _ connection: OpaquePointer) -> Bool {
    func send(_ pointers: [UnsafePointer<CChar>?]) -> Bool {
      guard pointers.count < parameters.count else {
        return PQsendQueryParams(connection, statement, Int32(pointers.count), nil, pointers, nil, nil, 0) == 1
      }
      return parameters[pointers.count].withUnsafeBytes { bytes in
        send(pointers + [bytes.baseAddress?.assumingMemoryBound(to: CChar.self)])
      }
    }
    return send([])
  }

  /// Runs the statement with its settings as one simple query, which is one transaction: the settings are local to it,
  /// and there is no extra round trip. A role is always set in this way. The first call on a connection is sent in this
  /// way too, and asks whether the server received the options: some poolers accept them and drop them.
  private func queryWithSettings(
    _ statement: String, _ parameters: [[UInt8]], _ connection: OpaquePointer, _ deadline: Instant, working: Bool
  ) throws(StoreFailure) -> [[String?]] {
    var script = statement
    for (index, parameter) in parameters.enumerated().reversed() {
      let literal = parameter.withUnsafeBytes { bytes in
        PQescapeLiteral(connection, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count - 1)
      }
      guard let literal else { throw broken(connection) }
      defer { PQfreemem(literal) }
      script = script.split(separator: "$\(index + 1)", maxSplits: 1, omittingEmptySubsequences: false)
        .joined(separator: String(cString: literal))
    }
    // The mode of a transaction can only be set before its first query.
    let mode = "set local transaction_read_only = off; set local synchronous_commit = on; "
    let settings = role.map { "set local role \($0); " } ?? ""
    let limits = "set local statement_timeout = '\(statementSeconds)s'; set local lock_timeout = \(lockMilliseconds); "
    let asks = !hasOptions && options == .accepted
    let question = asks ? "select current_setting('\(Self.mark)', true); " : ""
    guard PQsendQuery(connection, mode + question + settings + limits + script) == 1 else { throw broken(connection) }
    let outcome = try results(of: connection, deadline: deadline, working: working)
    var tables = outcome.tables
    if asks, !tables.isEmpty {
      hasOptions = tables.removeFirst().first?.first == "on"
      if !hasOptions { options = .dropped }
    }
    if let failure = outcome.failure { throw failure }
    return tables.last ?? []
  }

  /// Runs a script of several statements as one simple query: one transaction, unless the script controls transactions.
  package func run(script: String, deadline: Instant) throws(StoreFailure) {
    let connection = try open(deadline: deadline)
    guard PQsendQuery(connection, script) == 1 else { throw broken(connection) }
    if let failure = try results(of: connection, deadline: deadline).failure { throw failure }
  }

  /// Returns the payloads of the notifications that this session has received. If there are none, waits until the
  /// deadline. The session must be listening.
  package func notifications(until deadline: Instant) throws(StoreFailure) -> [String] {
    guard let connection else { throw .unavailable("no session") }
    let texts = QueryResult.notifications(connection)
    guard texts.isEmpty, isReady(PQsocket(connection), POLLIN, until: deadline) else { return texts }
    if PQconsumeInput(connection) == 0 { throw broken(connection) }
    return QueryResult.notifications(connection)
  }

  /// Ends the connection; the next statement opens another.
  package func close() {
    rest?.close()
    if let connection { PQfinish(connection) }
    connection = nil
  }

  // MARK: - Waiting

  func open(deadline: Instant) throws(StoreFailure) -> OpaquePointer {
    if isRemote { throw .unavailable(rest == nil ? "libcurl did not start" : "this needs DATABASE_URL") }
    if let connection {
      // An idle connection has nothing to read. If it does, the server has closed it or sent its last message.
      let isIdle = !isReady(PQsocket(connection), POLLIN, until: .steady)
      if !isStandby, isIdle, isAlive(connection, deadline) { return connection }
      close()
    }
    hasOptions = false
    hasReply = false
    isStandby = false
    let limits =
      "-c statement_timeout=\(statementSeconds)s -c lock_timeout=\(lockMilliseconds) -c \(Self.mark)=on"
      + " -c default_transaction_read_only=off -c synchronous_commit=on -c idle_session_timeout=0 \(Self.keepalives)"
    let words =
      [("dbname", url), ("application_name", "leadpipe"), ("client_encoding", "UTF8")]
      + (isPooled ? [] : [("options", limits)])
    let keys = words.map { strdup($0.0) }
    let values = words.map { strdup($0.1) }
    defer { (keys + values).forEach { free($0) } }
    let connection = PQconnectStartParams(
      keys.map { UnsafePointer($0) } + [nil], values.map { UnsafePointer($0) } + [nil], 1)
    self.connection = connection
    guard let connection, PQstatus(connection) != CONNECTION_BAD else { throw broken(connection) }
    PQsetNoticeProcessor(connection, { _, _ in }, nil)
    var events = POLLOUT
    while true {
      guard isReady(PQsocket(connection), events, until: deadline) else {
        close()
        throw .unavailable("the connection timed out")
      }
      switch PQconnectPoll(connection) {
      case PGRES_POLLING_READING: events = POLLIN
      case PGRES_POLLING_WRITING: events = POLLOUT
      case PGRES_POLLING_OK:
        hasReply = true
        PQsetnonblocking(connection, 1)
        workedAt = (.steady, .now)
        return connection
      default:
        let message = String(cString: PQerrorMessage(connection))
        // Only a reply has a severity.
        hasReply = message.contains("FATAL:") || message.contains("ERROR:")
        guard message.contains("unsupported startup parameter"), !isPooled else {
          throw ConnectionFailure.impossible(connection) ?? broken(connection)
        }
        close()
        options = .refused
        return try open(deadline: deadline)
      }
    }
  }

  /// True if the connection has worked a moment ago or answers now. If it does not, nothing of the caller's has been
  /// sent, so a new connection can be used instead.
  private func isAlive(_ connection: OpaquePointer, _ deadline: Instant) -> Bool {
    let idle = max(Instant.steady.seconds(since: workedAt.steady), Instant.now.seconds(since: workedAt.wall))
    guard idle >= Self.idleSeconds else { return true }
    let limit = min(deadline, Instant(milliseconds: Instant.steady.milliseconds + Self.probeMilliseconds))
    guard PQsendQuery(connection, "select 1") == 1 else { return false }
    return (try? results(of: connection, deadline: limit)) != nil
  }

  /// The server ends the session of a host that is gone, and has closed nothing, within four minutes: by keepalives if
  /// the session is idle, and by the limit for unacknowledged data if it had something to send, such as a notification.
  /// By default it would keep an idle session for more than two hours, and each power cut of a host would use up some
  /// of max_connections.
  private static let keepalives =
    "-c tcp_keepalives_idle=90 -c tcp_keepalives_interval=30 -c tcp_keepalives_count=3 -c tcp_user_timeout=150000"

  /// The custom setting that shows whether the server received the start-up options.
  private static let mark = "leadpipe.options"

  /// Returns the rows of each statement that returns rows, and the first error.
  /// - Parameter working: true to do what `meanwhile` has while the server works.
  func results(
    of connection: OpaquePointer, deadline: Instant, working: Bool = false
  ) throws(StoreFailure) -> (tables: [[[String?]]], failure: StoreFailure?) {
    while true {
      let flushed = PQflush(connection)
      if flushed < 0 { throw broken(connection) }
      if flushed == 0 { break }
      try wait(connection, POLLIN | POLLOUT, deadline)
    }
    var isReadable = working && PQisBusy(connection) == 1 && workMeanwhile(connection, deadline)
    var tables: [[[String?]]] = []
    var failure: StoreFailure?
    var lastWords: String?
    while true {
      while PQisBusy(connection) == 1 {
        do throws(StoreFailure) { try wait(connection, POLLIN, deadline, isReady: isReadable) } catch {
          throw lastWords.map { StoreFailure.unavailable($0) } ?? error
        }
        isReadable = false
      }
      guard let result = PQgetResult(connection) else { break }
      defer { PQclear(result) }
      switch PQresultStatus(result) {
      case PGRES_TUPLES_OK: tables.append(QueryResult.rows(result))
      case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
      default:
        failure = failure ?? QueryResult.refusal(result)
        lastWords = lastWords ?? QueryResult.lastWords(result)
      }
    }
    if PQstatus(connection) != CONNECTION_OK {
      let error = broken(connection)
      throw lastWords.map { StoreFailure.unavailable($0) } ?? error
    }
    workedAt = (.steady, .now)
    if failure?.isOfStandby == true { isStandby = true }
    // A pooler may assign a session that still listens for another client: discard notifications, so that none
    // accumulate.
    _ = QueryResult.notifications(connection)
    return (tables, failure)
  }

  func broken(_ connection: OpaquePointer?) -> StoreFailure {
    let message = connection.map { String(cString: PQerrorMessage($0)) } ?? "out of memory"
    close()
    return .unavailable(
      message.split(separator: "\n").first.map { ConnectionFailure.causeFirst(String($0)) } ?? "the connection broke")
  }
}
