import Contract
import Store
import Wire

extension Database {
  /// Calls a function; a failure becomes a problem.
  package func call(_ function: Function, _ argument: JSON, deadline: Instant, log: Log) throws(Problem) -> JSON {
    try attempt(function, log: log) { () throws(StoreFailure) in try call(function, argument, deadline: deadline) }
  }

  /// Runs `body`, which calls `function`; a failure becomes a problem. The log names the function and the SQLSTATE, never
  /// what was sent; the problem tells the client only what it may know.
  package func attempt<Value>(
    _ function: Function, log: Log, _ body: () throws(StoreFailure) -> Value
  ) throws(Problem) -> Value {
    let wasPooled = isPooled
    defer { notePooler(wasPooled: wasPooled, log: log) }
    do throws(StoreFailure) { return try body() } catch { throw Problem(error, in: function, log: log) }
  }

  /// Says once that a pooler was found.
  package func notePooler(wasPooled: Bool, log: Log) {
    if isPooled, !wasPooled { log.info("A pooler that takes no start-up options: settings go with each call") }
  }
}

extension Problem {
  /// The kinds of problem that our functions answer with.
  private static let answers: [String: Kind] = [
    "LP400": .badInput, "LP401": .unauthorized, "LP403": .forbidden, "LP404": .notFound, "LP409": .conflict,
    "LP412": .preconditionFailed, "LP503": .unavailable, "LPTRY": .unavailable,
  ]

  /// The one place where a failure of the store becomes a problem.
  package init(_ failure: StoreFailure, in function: Function, log: Log) {
    let facts: KeyValuePairs = ["function": function.rawValue]
    switch failure {
    case .away(let reason): log.error("Database away", ["function": function.rawValue, "reason": reason])
    case .timedOut: log.error("Database too slow", facts)
    case .refused(let state, _, _):
      if case .answered = failure.kind { break }
      log.error("Database refused", ["function": function.rawValue, "sqlstate": state])
    }
    switch failure.kind {
    case .unavailable: self.init(.unavailable, "the database is away", retryAfter: 2)
    case .tooSlow: self.init(.tooSlow, "the database did not answer in time", retryAfter: 2)
    case .locked:
      self.init(.busy, "somebody else is at work on the same conversation or customer", retryAfter: 1)
    case .notMigrated:
      self.init(
        .notMigrated, "the database is not migrated for this handler, or its login may not call it", retryAfter: 60)
    case .answered(let state): self.init(Self.answers[state] ?? .internalError, failure)
    case .refused: self.init(.internalError, "the request could not be carried out")
    }
  }

  /// What one of our functions said, about a field of the request or about all of it.
  private init(_ kind: Kind, _ failure: StoreFailure) {
    guard case .refused(_, let message, let field) = failure, !field.isEmpty else {
      if case .refused(_, let message, _) = failure { self.init(kind, message) } else { self.init(kind, "") }
      return
    }
    self.init(kind, "the request has a fault", details: [Detail(path: field, message: message)])
  }
}
