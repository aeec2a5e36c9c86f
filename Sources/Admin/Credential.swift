import Contract
import Wire

/// The credential of an admin request. A request with two keys is rejected.
enum Credential {
  /// A bare request: the caller already has the handler's database login.
  case byHand
  /// ADMIN_API_KEY itself.
  case configured
  /// Another key, which the database must verify.
  case key(String)
  /// The token of a session.
  case session(String)

  static let cookie = "leadpipe_session"

  /// - Parameter configured: ADMIN_API_KEY; if it is not set, every key and session is rejected.
  init(_ request: Request, configured: String?) throws(Problem) {
    if request.isBare {
      self = .byHand
      return
    }
    guard let configured else { throw Problem(.adminNotConfigured) }
    let keys = [request.headers["x-admin-api-key"], try Self.bearer(request)].compactMap { $0 }
    guard keys.count <= 1 else { throw .unknownKey }
    if let key = keys.first {
      // Every key takes the same path, so that timing reveals nothing about it.
      self = Secret.isSame(key, configured) ? .configured : .key(key)
    } else if let token = try Self.token(request) {
      self = .session(token)
    } else {
      throw .unknownKey
    }
  }

  /// Returns the key after `Bearer `. The name of the scheme may be in any case (RFC 9110 §11.1).
  private static func bearer(_ request: Request) throws(Problem) -> String? {
    guard let header = request.headers["authorization"] else { return nil }
    guard header.prefix(7).lowercased() == "bearer " else { throw .unknownKey }
    return String(header.dropFirst(7))
  }

  private static func token(_ request: Request) throws(Problem) -> String? {
    let pairs = (request.headers["cookie"] ?? "").split(separator: ";").map { $0.drop { $0 == " " } }
    let tokens = pairs.filter { $0.hasPrefix(cookie + "=") }.map { String($0.dropFirst(cookie.count + 1)) }
    guard tokens.count <= 1 else { throw .unknownKey }
    return tokens.first
  }

  /// Returns the `auth` argument of the database's admin functions. Nil for a bare request.
  func document(configured: String?) -> JSON? {
    let own = JSON.string(Secret.sha256(configured ?? ""))
    return switch self {
    case .byHand: nil
    case .configured: ["configured": own]
    case .key(let key): ["key": .string(Secret.sha256(key))]
    case .session(let token): ["session": .string(Secret.sha256(token)), "configured": own]
    }
  }

  /// True if the database has to verify the credential.
  var isUnproven: Bool {
    switch self {
    case .byHand, .configured: false
    case .key, .session: true
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
