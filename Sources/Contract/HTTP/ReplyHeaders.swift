/// The headers of a reply to a client, whichever server sends them.
package enum ReplyHeaders {
  /// Prefixes of headers that a handler may not set: a handler cannot allow other origins, report rate limits, or order
  /// the web server in front to send a file.
  private static let reserved = [
    "access-control-", "ratelimit", "x-ratelimit-", "x-accel-", "x-sendfile", "x-lighttpd-",
  ]

  /// Returns a handler's reply without the headers that only the server sets.
  package static func withoutReserved(_ reply: Reply) -> Reply {
    var reply = reply
    reply.headers = reply.headers.filter { name, _ in
      name == "x-accel-buffering" || !reserved.contains { name.hasPrefix($0) }
    }
    return reply
  }

  /// Returns the headers of `reply` in a fixed order, except those that depend on the connection: Content-Length, Date
  /// and Connection.
  /// - Parameters:
  ///   - origin: the origin of the page that may read the reply; nil if there is none.
  ///   - quota: the headers that report the state of the rate limit.
  package static func all(
    of reply: Reply, requestID: String, origin: WebOrigin?, access: Description.Access, quota: [(String, String)]
  ) -> [(String, String)] {
    var headers = reply.headers.filter { $0.key != "x-request-id" }.sorted { $0.key < $1.key }.map {
      ($0.key, $0.value)
    }
    headers += reply.cookies.map { ("set-cookie", $0) }
    // Tells caches that another origin gets another reply.
    let varying = (reply.headers["vary"] ?? "").lowercased().split { ", \t".contains($0) }
    if !varying.contains("origin"), !varying.contains("*") { headers.append(("vary", "Origin")) }
    if let origin { headers += CORSPolicy.headers(for: origin, access: access) }
    return headers + quota + [("x-request-id", requestID)]
  }

  /// True for a status whose replies have no body.
  package static func isBodiless(_ status: Int) -> Bool { status == 204 || status == 304 }
}
