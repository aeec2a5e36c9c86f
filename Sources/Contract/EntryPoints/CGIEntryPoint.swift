import Glibc
import Wire

/// Serves one HTTP request as a CGI program (RFC 3875), for example behind nginx with fcgiwrap, lighttpd or Apache.
struct CGIEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  /// Reads the request, writes the reply, and returns the exit status. CGI servers have no time limit of their own or a
  /// long one, so an alarm ends a process that hangs.
  func serve() -> Int32 {
    // The body, the handler, and the calls that count the request.
    alarm(UInt32(handler.description.processorSeconds + CGIBody.milliseconds / 1000 + 10))
    let server = EndpointServer(handler, environment, afterwards: afterwards, bodies: .refused, log)
    let served: ServedReply
    do throws(Problem) {
      let request = try CGIRequest(environment)
      var body = CGIBody(of: request)
      served = server.answer(request.head(where: server.hasRoute), from: request.peer) { _ throws(Problem) in
        try body.read()
      }
      body.discard()
    } catch { served = server.refusal(error) }
    let status = StandardOutput.write(served.cgiOutput) ? served.exitStatus : ExitStatus.unwritable
    if afterwards.dueAt != nil {
      close(1)
      afterwards.finish(now: .steady, log: log)
    }
    return status
  }
}
