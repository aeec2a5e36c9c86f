import Contract
import Transports
import Wire

/// A session in the admin interface, opened as the panel opens it.
struct CheckSession {
  /// `name=value`.
  let cookie: String
  let csrfToken: String

  /// Reads the reply to POST /api/admin/session. Nil if it opened none.
  init?(_ reply: WebReply) {
    guard reply.status == 201, let token = reply.document?["csrfToken"]?.string,
      let pair = reply.header("set-cookie")?.prefix(while: { $0 != ";" }), pair.utf8.allSatisfy({ 0x21...0x7E ~= $0 }),
      token.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
    else { return nil }
    cookie = String(pair)
    csrfToken = token
  }

  var headers: [String] { ["Cookie: \(cookie)"] }
}
