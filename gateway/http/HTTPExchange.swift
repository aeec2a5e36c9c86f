import Handler
import NIOHTTP1
import Wire

/// One request and its reply on a connection: what the reply's head and the access log need to know of the request.
struct Exchange: Sendable {
  let method: String
  let requestID: String
  /// Whether the client speaks HTTP/1.0, where a connection that stays open is said aloud.
  let isOld: Bool
  /// Whether another request may follow on the connection.
  var mayGoOn: Bool
  /// The route's own path. What a client asked for may hold anything and stands in no log.
  var pattern = "-"
  var handler: String?
  /// The origin of the page that may read the reply, and the kind of route that it has asked.
  var origin: WebOrigin?
  var access = Description.Access.public
  /// Where the request was counted.
  var quota: Quota?

  init(_ head: HTTPRequestHead) {
    method = head.method.rawValue
    requestID = head.headers.first(name: "x-request-id").flatMap(Request.cleanID) ?? UUIDText.random().text
    isOld = head.version == .http1_0
    mayGoOn = false
  }

  private init() {
    method = "-"
    requestID = UUIDText.random().text
    isOld = false
    mayGoOn = false
  }

  /// Something came that was no request.
  static var unreadable: Exchange { Exchange() }

  /// The status line and the headers. What is the gateway's to say replaces what a handler may have set.
  /// - Parameter isOpen: the end of the body is not known yet.
  func head(of reply: Reply, isOpen: Bool = false) -> HTTPResponseHead {
    var headers = HTTPHeaders()
    for (name, value) in reply.headers.sorted(by: { $0.key < $1.key }) { headers.add(name: name, value: value) }
    for cookie in reply.cookies { headers.add(name: "set-cookie", value: cookie) }
    // Caches must know that another origin gets another reply.
    let varying = headers[canonicalForm: "vary"].map { $0.lowercased() }
    if !varying.contains("origin"), !varying.contains("*") { headers.add(name: "vary", value: "Origin") }
    if let origin { headers.add(contentsOf: CrossOrigin.headers(for: origin, access: access)) }
    if let quota { headers.add(contentsOf: quota.headers) }
    headers.replaceOrAdd(name: "x-request-id", value: requestID)
    headers.replaceOrAdd(name: "date", value: Instant.now.httpDate)
    if !isOpen, !Self.isBodiless(reply.status) {
      headers.replaceOrAdd(name: "content-length", value: String(reply.body.count))
    }
    if !mayGoOn { headers.replaceOrAdd(name: "connection", value: "close") }
    if mayGoOn && isOld { headers.replaceOrAdd(name: "connection", value: "keep-alive") }
    // HTTP/1.0 knows no chunks: there the end of the connection is the end of the body.
    let version: HTTPVersion = isOpen && isOld ? .http1_0 : .http1_1
    return HTTPResponseHead(version: version, status: HTTPResponseStatus(statusCode: reply.status), headers: headers)
  }

  /// The bytes that follow the head.
  func body(of reply: Reply) -> [UInt8] { method == "HEAD" || Self.isBodiless(reply.status) ? [] : reply.body }

  private static func isBodiless(_ status: Int) -> Bool { status == 204 || status == 304 }

  /// One line in the access log, and another where it took longer than `slow`.
  func record(_ answer: Answer, slow: Duration?, log: Log) {
    var log = log.with("requestId", requestID)
    if let handler { log = log.with("handler", handler) }
    for fact in answer.times?.facts ?? [] { log = log.with(fact.key, fact.value) }
    let line = "\(method) \(pattern) \(answer.reply.status)"
    log.with("bytes", String(body(of: answer.reply).count)).info(line)
    if let slow, let times = answer.times, times.total > slow {
      log.warn("Slow: \(line) took \(times.total.milliseconds) ms")
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
