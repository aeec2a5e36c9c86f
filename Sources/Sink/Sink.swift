import Contract
import Wire

/// A stand-in for Slack, Telegram, a mail server and Resend on this machine. Messages are written to a file and shown
/// on a page, and are not forwarded.
///
/// Settings for using it: SLACK_WEBHOOK_URL `http://127.0.0.1:<http>/services/T0/B0/sink`, TELEGRAM_API_URL and
/// RESEND_API_URL `http://127.0.0.1:<http>`, EMAIL_HOST `127.0.0.1` with EMAIL_PORT `<smtp>`.
package struct Sink: Sendable {
  private let httpPort: Int
  private let smtpPort: Int
  private let file: String
  private let plan: FaultPlan

  /// The ports are on 127.0.0.1; 0 takes a free one. Messages are appended to `file`, one JSON document per line:
  /// `{"time","channel","recipient","subject"?,"id"?,"unanswered"?,"body"}`.
  /// `plan` applies until a request to `/behaviour` replaces it.
  package init(httpPort: Int = 0, smtpPort: Int = 0, file: String, plan: FaultPlan = FaultPlan()) {
    self.plan = plan
    self.httpPort = httpPort
    self.smtpPort = smtpPort
    self.file = file
  }

  /// Serves until the task is cancelled. Calls `onReady` once, with the ports, when both are bound. Throws
  /// `internalError` if the file cannot be written or a port is taken.
  package func run(
    onReady: @escaping @Sendable (_ httpPort: Int, _ smtpPort: Int) async -> Void = { _, _ in }
  ) async throws(Problem) {
    do {
      try await serve(onReady)
    } catch let problem as Problem {
      throw problem
    } catch {
      // Errors that the servers throw when they are cancelled are expected.
      if !Task.isCancelled { throw Problem.internalError("the sink cannot serve: \(error)") }
    }
  }

  private func serve(_ onReady: @escaping @Sendable (Int, Int) async -> Void) async throws {
    let box = try SinkBox(file: file)
    let book = FaultBook(plan)
    let (ports, continuation) = AsyncStream.makeStream(of: Port.self)
    try await withThrowingTaskGroup { group in
      group.addTask { try await SinkHTTP(box: box, book: book).run(port: httpPort) { continuation.yield(.http($0)) } }
      group.addTask { try await SinkSMTP(box: box, book: book).run(port: smtpPort) { continuation.yield(.smtp($0)) } }
      group.addTask {
        var http: Int?
        var smtp: Int?
        for await port in ports {
          switch port {
          case .http(let number): http = number
          case .smtp(let number): smtp = number
          }
          if let http, let smtp {
            await onReady(http, smtp)
            return
          }
        }
      }
      // If one server fails, this ends the other. `waitForAll` would wait for it.
      for try await _ in group {}
    }
  }

  private enum Port: Sendable { case http(Int), smtp(Int) }
}
