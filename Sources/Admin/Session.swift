import Contract
import Wire

/// A browser's session as the panel sees it, and its cookie.
package enum Session {
  package static let schema: JSON = [
    "type": "object", "required": ["name", "rights"],
    "properties": [
      "name": ["type": "string"], "rights": ["enum": ["read", "write", "owner"]],
      "expiresAt": Schema.time,
      "csrfToken": ["type": "string", "description": "goes into X-CSRF-Token with each POST, PATCH and DELETE"],
    ],
  ]

  /// The header that opens or ends it, as JSON Schema.
  package static let replyHeaders: JSON = ["properties": ["Set-Cookie": ["type": "string"]]]

  /// The value of `Set-Cookie` that opens a session, or ends it where there is no token. Only a page on this very machine gets it
  /// without TLS, not one behind a proxy that keeps the host's name to itself.
  package static func cookie(_ token: String?, for request: Request) -> String {
    let host = request.headers["host"] ?? ""
    let isHere =
      ["localhost", "127.0.0.1", "[::1]"].contains { host == $0 || host.hasPrefix($0 + ":") }
      && ["", "127.0.0.1", "::1"].contains(request.sourceIP)
    return "\(Credential.cookie)=\(token ?? ""); Path=/api; HttpOnly; SameSite=Strict"
      + (isHere ? "" : "; Secure") + "; Max-Age=\(token == nil ? 0 : 43_200)"
  }
}
