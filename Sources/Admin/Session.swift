import Contract
import Wire

/// The cookie of a browser session.
package enum Session {
  /// The JSON Schema of the reply header that sets or deletes the cookie.
  package static let replyHeaders: JSON = ["properties": ["Set-Cookie": ["type": "string"]]]

  /// The names of the cookie. Browsers accept the first only over https, for exactly this host and with the path `/`,
  /// so that no other host and no unencrypted page can set it (RFC 6265bis §4.1.3.2). Plain http on this machine has
  /// the second.
  private static let secureName = "__Host-leadpipe_session"
  private static let plainName = "leadpipe_session"

  /// Returns the values of the session cookies of a request, in their order and each once.
  static func tokens(of request: Request) -> [String] {
    let name = isOnThisMachine(request) ? plainName : secureName
    let pairs = (request.headers["cookie"] ?? "").split(separator: ";").map { $0.drop { $0 == " " } }
    var tokens: [String] = []
    for pair in pairs where pair.hasPrefix(name + "=") {
      let token = String(pair.dropFirst(name.count + 1))
      if !tokens.contains(token) { tokens.append(token) }
    }
    return tokens
  }

  /// Returns the value of `Set-Cookie` that opens a session, or ends it if `token` is nil.
  package static func cookie(_ token: String?, for request: Request) -> String {
    let lifetime = "HttpOnly; SameSite=Strict; Max-Age=\(token == nil ? 0 : 43_200)"
    let value = token ?? ""
    return isOnThisMachine(request)
      ? "\(plainName)=\(value); Path=/api; \(lifetime)" : "\(secureName)=\(value); Path=/; Secure; \(lifetime)"
  }

  /// True if both the Host header and the client's address are of this machine: a proxy that replaces the Host header
  /// does not make a client local.
  private static func isOnThisMachine(_ request: Request) -> Bool {
    let host = request.headers["host"] ?? ""
    return ["localhost", "127.0.0.1", "[::1]"].contains { host == $0 || host.hasPrefix($0 + ":") }
      && ["", "127.0.0.1", "::1"].contains(request.sourceIP)
  }
}
