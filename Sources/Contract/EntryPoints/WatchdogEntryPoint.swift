import Glibc
import Limits
import Wire

/// Serves one request of OpenFaaS's classic watchdog (https://github.com/openfaas/classic-watchdog), which passes the
/// head in variables such as Http_Method and the body on stdin.
///
/// The watchdog replies 200 to every request whose process exits with 0, and 500 without the output to every other, so
/// the process always exits with 0 and writes the body alone. A failure is a problem document with its status in the
/// body. Headers and cookies are lost.
struct WatchdogEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  /// True if the watchdog started this process. It passes on its own setting `fprocess`. Without `cgi_headers` it
  /// passes no head; such a request gets a 405, for it must not count as the operator's.
  static func isChosen(by environment: [String: String]) -> Bool { environment["fprocess"] != nil }

  func serve() -> Int32 {
    alarm(UInt32(handler.description.processorSeconds))
    let server = EndpointServer(handler, environment, afterwards: afterwards, bodies: .written, log)
    let input = StandardInput.readAll(limit: handler.description.bodyLimit)
    let served: ServedReply
    switch input {
    case .unreadable(let reason): served = server.refusal(.internalError(reason))
    case .tooLarge: served = server.refusal(.tooLarge(handler.description.bodyLimit))
    case .bytes(let bytes): served = server.answer(head(bodyLength: bytes.count), from: .unknown) { _ in bytes }
    }
    var status = StandardOutput.write(served.body) ? 0 : ExitStatus.unwritable
    // A body that is not whole is a 500.
    if status == 0, let body = served.following { status = body.write(log: log).exitStatus }
    close(1)
    afterwards.finish(now: .steady, log: log)
    return status
  }

  private func head(bodyLength: Int) -> MessageHead {
    // Names of the watchdog's own variables, which are no headers.
    var fields = MessageHead.fields(
      in: environment, prefix: "Http_", without: ["method", "path", "query", "contentlength"])
    if bodyLength > 0 { fields.append((name: "content-length", value: String(bodyLength))) }
    if !fields.contains(where: { $0.name == "host" }) { fields.append((name: "host", value: handler.description.name)) }
    let query = environment["Http_Query"].flatMap { $0.isEmpty ? nil : "?" + $0 } ?? ""
    return MessageHead(
      method: environment["Http_Method"] ?? "", target: path + query, isHTTP10: false, fields: fields)
  }

  /// The path of the request. A call of the function itself, /function/NAME, has none and means the handler's route.
  private var path: String {
    let path = environment["Http_Path"] ?? ""
    let own = handler.description.routes.map(\.path).first { !$0.contains("{") }
    return ["", "/"].contains(path) ? own ?? "/" : path
  }
}
