import Contract
import Store
import Wire

extension Database {
  /// Calls a function and converts a failure to a problem.
  package func call(_ function: Function, _ argument: JSON, deadline: Instant, log: Log) throws(Problem) -> JSON {
    try attempt(function, log: log) { () throws(StoreFailure) in try call(function, argument, deadline: deadline) }
  }

  /// Runs `body`, which calls `function`, and converts a failure to a problem. The log contains the function and the
  /// SQLSTATE, never the data. The problem contains only what the client is allowed to see.
  package func attempt<Value>(
    _ function: Function, log: Log, _ body: () throws(StoreFailure) -> Value
  ) throws(Problem) -> Value {
    do throws(StoreFailure) { return try watchingPooler(log, body) } catch {
      throw Problem(error, in: function, log: log)
    }
  }

  /// Runs `body` and logs it if a transaction pooler was detected.
  package func watchingPooler<Value, Failure>(_ log: Log, _ body: () throws(Failure) -> Value) throws(Failure) -> Value
  {
    let wasPooled = isPooled
    defer {
      if isPooled, !wasPooled { log.info("The pooler rejects start-up options: settings are sent with each call") }
    }
    return try body()
  }
}

extension Problem {
  /// The kinds of problem for the SQLSTATEs of Leadpipe's functions.
  private static let answers: [String: Kind] = [
    "LP400": .badInput, "LP401": .unauthorized, "LP403": .forbidden, "LP404": .notFound, "LP409": .conflict,
    "LP412": .preconditionFailed, "LP503": .unavailable, "LPTRY": .unavailable,
  ]

  /// Converts a database failure to a problem and logs it. This is the only such conversion.
  package init(_ failure: StoreFailure, in function: Function, log: Log) {
    switch failure {
    case .away(let reason): log.error("Database away", ["function": function.rawValue, "reason": reason])
    case .timedOut: log.error("Database too slow", ["function": function.rawValue])
    case .refused(let state, _, _) where !state.hasPrefix("LP"):
      log.error("Database refused", ["function": function.rawValue, "sqlstate": state])
    case .refused: break
    }
    switch failure.kind {
    case .unavailable: self.init(.unavailable, "the database is away", retryAfter: 2)
    case .tooSlow: self.init(.tooSlow, "the database did not answer in time", retryAfter: 2)
    case .locked:
      self.init(.busy, "somebody else is at work on the same conversation or customer", retryAfter: 1)
    case .notMigrated:
      self.init(
        .notMigrated, "the database is not migrated for this handler, or its login may not call it", retryAfter: 60)
    case .answered(let state, let message, let field):
      let kind = Self.answers[state] ?? .internalError
      self.init(kind, field.isEmpty ? message : "the request has a fault")
      if !field.isEmpty { details = [Detail(path: field, message: message)] }
    case .refused: self.init(.internalError, "the request could not be carried out")
    }
  }
}
