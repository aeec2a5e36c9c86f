import Contract
import Limits
import Synchronization

/// The admin panel: the static files under /admin. They need no log-in; the panel's own requests do.
final class Panel: Sendable {
  /// The number of requests of a client in a period. A first view needs about forty, and an office may have one address.
  private static let rate = (count: 1000, seconds: 10)

  private let files: [String: PanelFile]
  private let index: PanelFile
  private let limiter: Mutex<ClientLimiter>
  private let start = ContinuousClock.now

  /// Reads the folder. Throws if it cannot be served.
  init(folder: String) throws(Problem) {
    files = try PanelFolder(folder).files
    guard let index = files["index.html"], let limit = RateLimit(count: Self.rate.count, seconds: Self.rate.seconds)
    else { throw Problem.internalError("the panel has no index.html") }
    self.index = index
    limiter = Mutex(ClientLimiter(limit))
  }

  /// True if a path is the panel's: /admin and everything below.
  static func has(_ path: RequestPath) -> Bool { path.segments.first?.raw == "admin" }

  /// Counts a request, and returns the quota; it is not in the limit of any route.
  func admit(_ client: ClientAddress?) -> Quota {
    let now = (ContinuousClock.now - start).milliseconds
    return Quota(name: "panel", verdict: limiter.withLock { $0.admit(RateKey(client), at: now) })
  }

  /// Returns the reply to a request for one of the panel's paths. A path that is no file is one of the panel's views,
  /// whose page is index.html. Throws if it can only have been meant as a file.
  func reply(to head: RequestHead, requestID: String) throws(Problem) -> Reply {
    guard ["GET", "HEAD"].contains(head.method) else {
      return Reply.otherMethod(head.method, allow: ["GET", "HEAD", "OPTIONS"], requestID: requestID)
    }
    let name = head.target.path.segments.dropFirst().map(\.raw).joined(separator: "/")
    let isAsset = name.hasPrefix("assets/")
    if let file = files[name], name != "index.html" {
      let isHashed = isAsset && head.target.path.segments.dropFirst(2).first.map { Self.isHash($0.raw) } == true
      return Self.reply(file, head, caching: isHashed ? "public, max-age=31536000, immutable" : "no-cache")
    }
    let end = PanelFile.end(of: name[(name.lastIndex(of: "/") ?? name.startIndex)...])
    guard !isAsset, end == nil || end == "html" || PanelFile.types[end ?? ""] == nil else {
      throw Problem(.routeNotFound)
    }
    return Self.reply(index, head, caching: "no-cache")
  }

  /// True if a segment is the hash of all files, as the build makes it: below it, nothing changes.
  private static func isHash(_ segment: String) -> Bool {
    segment.utf8.count == 16 && segment.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  /// Returns a file, or 304 if the client has it.
  static func reply(
    _ file: PanelFile, _ head: RequestHead, caching: String, headers protection: [String: String] = protection
  ) -> Reply {
    let variant = file.variant(accepting: head.headers["accept-encoding"])
    var headers = protection
    headers["cache-control"] = caching
    headers["etag"] = variant.etag
    headers["vary"] = "Accept-Encoding, Origin"
    if let known = head.headers["if-none-match"], isMatch(known, variant.etag) {
      return Reply(status: 304, headers: headers, body: [])
    }
    headers["content-type"] = file.type
    if variant.etag != file.plain.etag { headers["content-encoding"] = "gzip" }
    return Reply(status: 200, headers: headers, body: variant.bytes)
  }

  /// Compares weakly (RFC 9110 §13.1.2): proxies that compress again make an ETag weak.
  private static func isMatch(_ header: String, _ etag: String) -> Bool {
    header.split(separator: ",").contains { part in
      let tag = part.drop { " \t".contains($0) }.reversed().drop { " \t".contains($0) }.reversed()
      let text = String(tag)
      return text == "*" || text == etag || text == "W/" + etag
    }
  }

  /// What pages of the panel may do: load from this origin only, run no inline script, be in no frame.
  static let protection: [String: String] = [
    "content-security-policy": [
      "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
      "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].joined(separator: "; "),
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer", "x-content-type-options": "nosniff",
  ]
}
