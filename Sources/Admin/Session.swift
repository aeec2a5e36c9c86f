import Contract
import Wire

/// A browser session as the panel sees it, and its cookie.
package enum Session {
  package static let schema: JSON = [
    "type": "object", "required": ["name", "rights"],
    "properties": [
      "name": ["type": "string"], "rights": ["enum": ["read", "write", "owner"]],
      "expiresAt": Schema.time,
      "csrfToken": ["type": "string", "description": "send it as X-CSRF-Token with each POST, PATCH and DELETE"],
    ],
  ]

  /// The JSON Schema of the reply header that sets or deletes the cookie.
  package static let replyHeaders: JSON = ["properties": ["Set-Cookie": ["type": "string"]]]

  /// Returns the value of `Set-Cookie` that opens a session, or ends it if `token` is nil. The cookie is `Secure`
  /// unless both the Host header and the client's address are of this machine: a proxy that replaces the Host header
  /// does not make a client local.
  package static func cookie(_ token: String?, for request: Request) -> String {
    let host = request.headers["host"] ?? ""
    let isHere =
      ["localhost", "127.0.0.1", "[::1]"].contains { host == $0 || host.hasPrefix($0 + ":") }
      && ["", "127.0.0.1", "::1"].contains(request.sourceIP)
    return "\(Credential.cookie)=\(token ?? ""); Path=/api; HttpOnly; SameSite=Strict"
      + (isHere ? "" : "; Secure") + "; Max-Age=\(token == nil ? 0 : 43_200)"
  }
}
