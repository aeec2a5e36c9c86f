import Contract
import NIOCore
import NIOHTTP1
import Wire

/// A request and its reply on a connection: what the head of the reply and the access log need from the request.
struct HTTPExchange: Sendable {
  let method: String
  let requestID: String
  /// True if the client uses HTTP/1.0, where `keep-alive` must be explicit.
  let isHTTP10: Bool
  /// True if another request may follow on the connection.
  var keepsAlive: Bool
  /// The path of the route. The path of the request may contain anything, so it is not logged as it is.
  var route = "-"
  /// The target of the request. It may contain anything, so it is not logged as it is.
  private let target: String
  var handler: String?
  /// The origin of the page that may read the reply, and the access of the route.
  var origin: WebOrigin?
  var access = Description.Access.public
  /// What the client gets instead of a problem, if it is a browser that has posted a form.
  var refusalPage: RefusalPage?
  /// The rate limit for which the request was counted.
  var quota: Quota?
  /// The decision of the limits that gateways share, until the reply has been settled with them.
  var admission: EventLoopFuture<SharedLimiter.Admission>?

  init(_ head: HTTPRequestHead) {
    method = head.method.rawValue
    target = head.uri
    requestID = head.headers.first(name: "x-request-id").flatMap(Request.cleanID) ?? UUIDText.ordered().text
    isHTTP10 = head.version == .http1_0
    keepsAlive = false
  }

  private init() {
    method = "-"
    target = ""
    requestID = UUIDText.ordered().text
    isHTTP10 = false
    keepsAlive = false
  }

  /// Returns the first segments of a path, with `…` for each that may contain a secret or personal data: the names in a
  /// misspelt route are short words in lower case.
  static func words(of target: String) -> String {
    let isWord = { (segment: Substring) in
      let bytes = segment.utf8
      return bytes.count <= 24 && bytes.count { 0x30...0x39 ~= $0 } <= 3
        && bytes.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || "-._".utf8.contains($0) }
    }
    let path = target.prefix(1000).prefix { $0 != "?" && $0 != "#" }
    let segments = path.split(separator: "/", omittingEmptySubsequences: false)
    let shown = segments.prefix(8).map { isWord($0) ? String($0) : "…" }
    return (shown + (segments.count > 8 ? ["…"] : [])).joined(separator: "/")
  }

  /// An exchange for bytes that are not a request.
  static var unreadable: HTTPExchange { HTTPExchange() }

  /// Returns the status line and the headers. The gateway's own headers override those of the handler.
  /// - Parameter isOpen: true if the end of the body is not known yet.
  func head(of reply: Reply, isOpen: Bool = false) -> HTTPResponseHead {
    var headers = HTTPHeaders(
      ReplyHeaders.all(of: reply, requestID: requestID, origin: origin, access: access, quota: quota?.headers ?? []))
    headers.replaceOrAdd(name: "date", value: Instant.now.httpDate)
    let hasLength = !isOpen && !reply.bodyFollows
    if hasLength, !ReplyHeaders.isBodiless(reply.status) {
      headers.replaceOrAdd(name: "content-length", value: String(reply.body.count))
    }
    if !keepsAlive { headers.replaceOrAdd(name: "connection", value: "close") }
    if keepsAlive && isHTTP10 { headers.replaceOrAdd(name: "connection", value: "keep-alive") }
    // HTTP/1.0 has no chunks, so the end of the connection is the end of the body.
    // Nor has a HEAD whose body would follow: NIO would write the last chunk after its head.
    let isUnchunked = isOpen ? isHTTP10 : !hasLength && method == "HEAD"
    let version: HTTPVersion = isUnchunked ? .http1_0 : .http1_1
    return HTTPResponseHead(version: version, status: HTTPResponseStatus(statusCode: reply.status), headers: headers)
  }

  /// Returns the bytes that follow the head.
  func body(of reply: Reply) -> [UInt8] { method == "HEAD" || ReplyHeaders.isBodiless(reply.status) ? [] : reply.body }

  /// Writes a line to the access log, and a second line if the request took longer than `slow`.
  func record(_ answer: GatewayReply, slow: Duration?, log: Log) {
    var log = log.with("requestId", requestID)
    if let handler { log = log.with("handler", handler) }
    for field in answer.timing?.logFields ?? [] { log = log.with(field.key, field.value) }
    if answer.reply.status == 404, route == "-" { log = log.with("path", Self.words(of: target)) }
    let line = "\(method) \(route) \(answer.reply.status)"
    log.with("bytes", String(body(of: answer.reply).count + answer.sent)).info(line)
    if let slow, let timing = answer.timing, timing.total > slow {
      log.warn("Slow: \(line) took \(timing.total.milliseconds) ms")
    }
  }
}

extension Instant {
  /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
  fileprivate var httpDate: String {
    let days = milliseconds / 86_400_000
    let (year, month, day) = Instant.civil(days)
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let time = iso8601.dropFirst("2026-11-22T".count).prefix("21:00:00".count)
    return "\(weekdays[days % 7]), \(day < 10 ? "0" : "")\(day) \(months[month - 1]) \(year) \(time) GMT"
  }
}

extension MessageHead {
  init(_ head: HTTPRequestHead) {
    self.init(
      method: head.method.rawValue, target: head.uri, isHTTP10: head.version == .http1_0,
      fields: head.headers.map { ($0.name, $0.value) })
  }
}
