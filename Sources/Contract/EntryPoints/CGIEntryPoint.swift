import Glibc
import Wire

/// Serves one HTTP request as a CGI program (RFC 3875), for example behind nginx with fcgiwrap, lighttpd or Apache.
struct CGIEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  /// The time for the body in milliseconds, as in the gateway.
  private static let bodyMs = 15_000

  /// Reads the request, writes the reply, and returns the exit status. CGI servers have no time limit of their own or a
  /// long one, so an alarm ends a process that hangs.
  func serve() -> Int32 {
    alarm(UInt32(handler.description.processorSeconds + Self.bodyMs / 1000))
    let server = EndpointServer(handler, environment, afterwards: afterwards, log)
    let served: ServedReply
    do throws(Problem) {
      let request = try CGIRequest(environment)
      let length = request.bodyLength ?? 0
      served = server.answer(request.head(where: server.hasRoute), from: request.peer) { _ throws(Problem) in
        try Self.body(length)
      }
    } catch { served = server.refusal(error) }
    let status = StandardOutput.write(served.cgiOutput) ? served.exitStatus : ExitStatus.unwritable
    if afterwards.dueAt != nil {
      close(1)
      afterwards.finish(now: .steady, log: log)
    }
    return status
  }

  /// Reads exactly `length` bytes. Stdin need not end after them.
  private static func body(_ length: Int) throws(Problem) -> [UInt8] {
    let deadline = Instant(milliseconds: Instant.steady.milliseconds + bodyMs)
    switch StandardInput.read(exactly: length, until: deadline) {
    case .bytes(let bytes): return bytes
    case .late: throw Problem(.bodyTimeout)
    case .short: throw Problem(.malformedRequest, ["reason": "the body is shorter than Content-Length"])
    case .unreadable(let reason): throw .internalError(reason)
    }
  }
}
