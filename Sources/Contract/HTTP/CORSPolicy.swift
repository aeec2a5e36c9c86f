/// Decides what pages of other origins may do (the CORS protocol of the Fetch standard). An origin gets CORS headers
/// only if it equals an allowed origin byte for byte. This does not protect the server: all other checks are the same
/// for every origin.
package struct CORSPolicy: Sendable {
  /// How long a browser may remember a preflight, in seconds.
  private static let maxAge = 600
  private static let requestHeaders: Set<String> = ["content-type", "idempotency-key", "traceparent", "x-request-id"]
  /// Further headers on admin routes: for keys, conditional changes, live streams, lists as arrays and sessions.
  private static let adminHeaders: Set<String> = [
    "authorization", "if-match", "last-event-id", "prefer", "x-admin-api-key", "x-csrf-token",
  ]
  private static let exposed = [
    "idempotency-replayed", "ratelimit", "ratelimit-policy", "retry-after", "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset", "x-request-id",
  ]
  private static let adminExposed = [
    "content-disposition", "etag", "preference-applied", "x-next-cursor", "x-total-count",
  ]

  private let origins: [WebOrigin]

  package init(origins: [WebOrigin]) { self.origins = origins }

  /// Allows the origins of FRONTEND_URL and ALLOWED_ORIGINS.
  package init(_ settings: Settings) {
    let site = settings["FRONTEND_URL"].flatMap { WebOrigin(ofAddress: $0) }
    origins = [site].compactMap { $0 } + (settings["ALLOWED_ORIGINS"].flatMap { WebOrigin.list($0) } ?? [])
  }

  /// Returns the origin of a request; nil unless there is exactly one and it may read the reply.
  package func allowed(_ head: MessageHead) -> WebOrigin? {
    let named = head["origin"]
    guard named.count == 1 else { return nil }
    return origins.first { $0.text.utf8.elementsEqual(named[0].utf8) }
  }

  /// Returns the headers of a reply to `origin`, except `Vary: Origin`. Only admin routes allow credentials.
  package static func headers(for origin: WebOrigin, access: Description.Access) -> [(String, String)] {
    let isAdmin = access == .admin
    return [
      ("access-control-allow-origin", origin.text),
      ("access-control-expose-headers", (exposed + (isAdmin ? adminExposed : [])).joined(separator: ", ")),
    ] + (isAdmin ? [("access-control-allow-credentials", "true")] : [])
  }

  /// Returns the method that a preflight requests; nil if the request is not a preflight.
  package static func preflightMethod(_ head: RequestHead) -> String? {
    guard head.method == "OPTIONS", head.headers["origin"] != nil else { return nil }
    return head.headers["access-control-request-method"]
  }

  /// Returns the headers of the reply to a preflight whose origin and method are allowed; nil if it requests a header
  /// that is not allowed.
  package static func preflightHeaders(
    _ head: RequestHead, methods: [String], access: Description.Access
  ) -> [String: String]? {
    let headers = access == .admin ? requestHeaders.union(adminHeaders) : requestHeaders
    let asked = (head.headers["access-control-request-headers"] ?? "")
      .split(separator: ",").map { $0.split { $0 == " " || $0 == "\t" }.joined(separator: " ").lowercased() }
    guard asked.allSatisfy(headers.contains) else { return nil }
    return [
      "access-control-allow-methods": methods.joined(separator: ", "),
      "access-control-allow-headers": headers.sorted().joined(separator: ", "),
      "access-control-max-age": String(maxAge),
    ]
  }
}
