import Contract
import Forms
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
      if isPooled, !wasPooled {
        let does = options == .dropped ? "drops" : "rejects"
        log.info("The pooler \(does) start-up options: settings are sent with each call")
      }
    }
    return try body()
  }
}

extension Problem {
  /// Converts a database failure to a problem and logs it. This is the only such conversion.
  package init(_ failure: StoreFailure, in function: Function, log: Log) {
    switch failure {
    case .unavailable(let reason): log.error("Database unavailable", ["function": function.rawValue, "reason": reason])
    case .timedOut: log.error("Database timed out", ["function": function.rawValue])
    case .refused(let state, _, _) where failure.kind == .notMigrated:
      log.error(
        "The database is not migrated, or the login lacks the rights of its class: run `leadpipe migrate`",
        ["function": function.rawValue, "sqlstate": state])
    case .refused(let state, _, _) where !state.hasPrefix("LP"):
      log.error("Database refused the call", ["function": function.rawValue, "sqlstate": state])
    case .refused: break
    }
    switch failure.kind {
    case .unavailable: self.init(.databaseUnavailable, retryAfter: 2)
    case .noFreeSession: self.init(.tooManyRequestsWaiting, retryAfter: 1)
    case .tooSlow: self.init(.databaseTimeout, retryAfter: 2)
    case .locked: self.init(.databaseBusy, retryAfter: 1)
    case .notMigrated: self.init(.databaseNotMigrated, retryAfter: 60)
    case .answered(let code, let arguments): self.init(code: code, arguments)
    case .refused: self = .internalError("the request could not be carried out")
    }
  }

  /// An error of one of our SQL functions: a problem, or with the argument `field` the error of a field.
  package init(code: String, _ arguments: JSON) {
    let texts = Dictionary(
      (arguments.members ?? []).map { ($0.key, $0.value.string ?? $0.value.text) }, uniquingKeysWith: { $1 })
    if let code = FieldCode(rawValue: code) {
      self.init(FormError(fields: [FieldError(code, at: texts["field"] ?? "", texts)]))
    } else if let code = ProblemCode(rawValue: code) {
      let retryAfter: [ProblemKind: Int] = [.unavailable: 1, .notMigrated: 60]
      self.init(code, texts, retryAfter: retryAfter[code.kind])
    } else {
      self = .internalError("the database reported an error that this version does not have: \(code)")
    }
  }
}
