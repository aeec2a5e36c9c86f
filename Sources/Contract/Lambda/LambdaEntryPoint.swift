import Glibc
import Wire

/// Answers the events of AWS Lambda one after the other, until Lambda ends the process. Lambda freezes the process
/// while it waits for an event, and it may never thaw it again: nothing is left to do when it asks for the next one.
struct LambdaEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  /// The address of the runtime API in the environment. Nil if it is malformed.
  static func address(in environment: [String: String]) -> RuntimeAddress? {
    environment["AWS_LAMBDA_RUNTIME_API"].flatMap(RuntimeAddress.init)
  }

  /// Returns the exit status: after wrong settings, which are reported to Lambda too, or when the runtime API fails.
  func serve() -> Int32 {
    guard let address = Self.address(in: environment) else {
      log.error("AWS_LAMBDA_RUNTIME_API must be a host and a port: host:port")
      return ExitStatus.misconfigured
    }
    let api = RuntimeAPI(at: address)
    do throws(RuntimeFailure) {
      let door: LambdaDoor
      do throws(Problem) {
        door = try LambdaDoor(handler, environment, afterwards: afterwards, log)
      } catch {
        _ = try api.failInit(RuntimeAPI.Report(type: "Runtime.InvalidSettings", message: error.detail))
        return error.kind == .misconfigured ? ExitStatus.misconfigured : ExitStatus.of(status: error.kind.status)
      }
      while true { try serveNext(of: api, by: door) }
    } catch {
      log.error("The Lambda runtime API failed", ["reason": error.reason])
      return ExitStatus.unwritable
    }
  }

  private func serveNext(of api: RuntimeAPI, by door: LambdaDoor) throws(RuntimeFailure) {
    let invocation = try api.next()
    var log = log.with("invocationId", invocation.id)
    if let traceID = invocation.traceID {
      log = log.with("traceId", traceID)
      setenv("_X_AMZN_TRACE_ID", traceID, 1)
    } else {
      unsetenv("_X_AMZN_TRACE_ID")
    }
    let event = LambdaEvent(invocation.event, to: handler.description)
    let status: Int
    switch LambdaAnswer(event, deadline: invocation.deadline, by: door, log: log) {
    case .result(let result):
      let posted = try api.respond(to: invocation.id, result)
      status = posted == 413 ? try api.fail(invocation.id, .replyTooLarge(result.count)) : posted
      if posted == 413 { log.error("Lambda refused the reply: too large", ["bytes": String(result.count)]) }
    case .failure(let report):
      log.warn("The invocation failed: \(report.message)", ["type": report.type])
      status = try api.fail(invocation.id, report)
    }
    if status >= 300 { log.warn("Lambda did not take the result", ["status": String(status)]) }
    // The client has its reply. The process is frozen as soon as it asks for the next event.
    afterwards.finish(now: .steady, log: log)
  }
}

extension RuntimeAPI.Report {
  /// The event is not one that this function takes.
  static func invalidEvent(_ reason: String) -> Self { Self(type: "Runtime.InvalidEvent", message: reason) }

  static func replyTooLarge(_ size: Int) -> Self {
    Self(type: "Function.ResponseSizeTooLarge", message: "the reply of \(size) bytes is larger than Lambda takes")
  }

  /// A problem of a step. The type has the problem's code: `Function.DatabaseUnavailable`.
  init(_ problem: Problem) {
    let words = problem.code.rawValue.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }
    self.init(type: "Function." + words.joined(), message: problem.detail)
  }
}
