import Wire

/// The four calls of Lambda's runtime API, version 2018-06-01
/// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
struct RuntimeAPI {
  private let connection: RuntimeConnection

  init(at address: RuntimeAddress) { connection = RuntimeConnection(to: address) }

  /// An event, and what Lambda says about it.
  struct Invocation {
    let id: String
    /// When Lambda ends the process, on the wall clock.
    let deadline: Instant?
    let traceID: String?
    let event: [UInt8]
  }

  /// Why an invocation, or the start, failed: shown to whoever invoked the function, and counted by Lambda.
  struct Report: Equatable {
    /// Category and reason: `Runtime.InvalidEvent`.
    let type: String
    let message: String
  }

  /// Waits for the next event. A failure means that the process can do no more.
  func next() throws(RuntimeFailure) -> Invocation {
    let reply = try connection.get("invocation/next")
    guard reply.status == 200 else { throw RuntimeFailure("the next invocation was refused with \(reply.status)") }
    guard let id = reply.headers["lambda-runtime-aws-request-id"].flatMap(Self.cleanID) else {
      throw RuntimeFailure("the invocation has no valid Lambda-Runtime-Aws-Request-Id")
    }
    return Invocation(
      id: id,
      deadline: reply.headers["lambda-runtime-deadline-ms"].flatMap { Int(strict: $0) }
        .flatMap { 0...253_402_300_799_999 ~= $0 ? Instant(milliseconds: $0) : nil },
      traceID: reply.headers["lambda-runtime-trace-id"].flatMap { $0.utf8.count <= 512 ? $0 : nil }, event: reply.body)
  }

  /// Posts the result of an invocation. Returns the status of the API, which is 202 if it has taken the result. A
  /// failure, which 5xx is too, means that the process can do no more.
  func respond(to id: String, _ result: [UInt8]) throws(RuntimeFailure) -> Int {
    try status(of: try connection.post("invocation/\(id)/response", [("Content-Type", "application/json")], result))
  }

  func fail(_ id: String, _ report: Report) throws(RuntimeFailure) -> Int {
    try post(report, to: "invocation/\(id)/error")
  }

  /// Reports that the process cannot start. The caller exits afterwards.
  func failInit(_ report: Report) throws(RuntimeFailure) -> Int { try post(report, to: "init/error") }

  private func post(_ report: Report, to path: String) throws(RuntimeFailure) -> Int {
    let document: JSON = [
      "errorMessage": .string(report.message), "errorType": .string(report.type), "stackTrace": .array([]),
    ]
    let headers = [
      ("Content-Type", "application/vnd.aws.lambda.error+json"), ("Lambda-Runtime-Function-Error-Type", report.type),
    ]
    return try status(of: try connection.post(path, headers, document.bytes))
  }

  private func status(of reply: RuntimeReply) throws(RuntimeFailure) -> Int {
    guard reply.status < 500 else { throw RuntimeFailure("a result was refused with \(reply.status)") }
    return reply.status
  }

  /// Returns an id that is safe in a path: letters, digits and hyphens.
  private static func cleanID(_ id: String) -> String? {
    let isClean = id.utf8.allSatisfy {
      0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || $0 == UInt8(ascii: "-")
    }
    return 1...128 ~= id.utf8.count && isClean ? id : nil
  }
}
