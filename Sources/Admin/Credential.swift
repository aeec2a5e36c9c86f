import Contract
import Wire

/// The credential of an admin request. A request with two keys is rejected. One with several sessions is authorised by
/// the one that is valid.
enum Credential {
  /// A bare request: the caller already has the handler's database login.
  case byHand
  /// ADMIN_API_KEY itself.
  case configured
  /// Another key, which the database must verify.
  case key(String)
  /// The token of a session.
  case session(String)
  /// The token of a log-in link, which only opens a session.
  case login(String)
  /// A user of Supabase Auth, whose access token has been verified.
  case user(AccessTokens.User)

  /// How many sessions of a request are tried.
  private static let sessionLimit = 4

  /// Returns the credential of a request; several if it has several sessions. Never empty.
  /// - Parameters:
  ///   - configured: ADMIN_API_KEY; if it is not set, every key, token and session is rejected.
  ///   - tokens: verifies access tokens; if it is nil, each is an unknown key.
  static func all(
    of request: Request, configured: String?, tokens: AccessTokens? = nil
  ) throws(Problem) -> [Credential] {
    if request.isBare { return [.byHand] }
    guard let configured else { throw Problem(.adminNotConfigured) }
    let bearer = try bearer(request)
    let keys = [request.headers["x-admin-api-key"], bearer].compactMap { $0 }
    guard keys.count <= 1 else { throw .unknownKey }
    if let tokens, let bearer, AccessTokens.isToken(bearer), !Secret.isSame(bearer, configured) {
      guard let user = tokens.user(of: bearer, at: .now) else { throw .unknownKey }
      return [.user(user)]
    }
    if let key = keys.first {
      // Every key takes the same path, so that timing reveals nothing about it.
      return [Secret.isSame(key, configured) ? .configured : .key(key)]
    }
    let sessions = Session.tokens(of: request)
    guard !sessions.isEmpty else { throw .unknownKey }
    return sessions.prefix(sessionLimit).map { .session($0) }
  }

  /// Returns the key after `Bearer `. The name of the scheme may be in any case (RFC 9110 §11.1).
  private static func bearer(_ request: Request) throws(Problem) -> String? {
    guard let header = request.headers["authorization"] else { return nil }
    guard header.prefix(7).lowercased() == "bearer " else { throw .unknownKey }
    return String(header.dropFirst(7))
  }

  /// Returns the `auth` argument of the database's admin functions. Nil for a bare request.
  func document(configured: String?) -> JSON? {
    let own = JSON.string(Secret.sha256(configured ?? ""))
    return switch self {
    case .byHand: nil
    case .configured: ["configured": own]
    case .key(let key): ["key": .string(Secret.sha256(key))]
    case .session(let token): ["session": .string(Secret.sha256(token)), "configured": own]
    case .login(let token): ["login": .string(Secret.sha256(token)), "configured": own]
    case .user(let user): ["user": user.document]
    }
  }

  /// True if the database has to verify the credential, or the rights of a user.
  var isUnproven: Bool {
    switch self {
    case .byHand, .configured: false
    case .key, .session, .login, .user: true
    }
  }

  /// Requires the CSRF token for changes in a session: a page of another origin can send the cookie but cannot read the
  /// token.
  func checkOrigin(of request: Request) throws(Problem) {
    guard case .session(let token) = self, !["GET", "HEAD"].contains(request.method) else { return }
    guard Secret.isSame(request.headers["x-csrf-token"] ?? "", Secret.csrfToken(of: token)) else {
      throw Problem(.csrfTokenRequired)
    }
  }
}

extension Problem {
  /// The problem for every key or session that is missing, wrong, repeated or expired.
  static let unknownKey = Problem(.keyRequired)
}
