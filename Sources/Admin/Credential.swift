import Contract
import Wire

/// By what a request asks to be let in. Only one of them counts: a request that shows two keys is let in by neither.
enum Credential {
  /// Given by hand: the one who did it holds the database login of the handler.
  case byHand
  /// ADMIN_API_KEY itself.
  case configured
  /// Another key, which the database may know.
  case key(String)
  /// The token of a session.
  case session(String)

  static let cookie = "leadpipe_session"

  /// - Parameter configured: ADMIN_API_KEY; without it nobody is let in, whatever other keys there are.
  init(_ request: Request, configured: String?) throws(Problem) {
    if request.isBare {
      self = .byHand
      return
    }
    guard let configured else { throw Problem(.adminNotConfigured) }
    let keys = [request.headers["x-admin-api-key"], try Self.bearer(request)].compactMap { $0 }
    guard keys.count <= 1 else { throw .unknownKey }
    if let key = keys.first {
      // Every key goes the same way, so that the time tells nothing about it.
      self = Secret.isSame(key, configured) ? .configured : .key(key)
    } else if let token = try Self.token(request) {
      self = .session(token)
    } else {
      throw .unknownKey
    }
  }

  /// The key after `Bearer `, in just this writing.
  private static func bearer(_ request: Request) throws(Problem) -> String? {
    guard let header = request.headers["authorization"] else { return nil }
    guard header.hasPrefix("Bearer ") else { throw .unknownKey }
    return String(header.dropFirst(7))
  }

  private static func token(_ request: Request) throws(Problem) -> String? {
    let pairs = (request.headers["cookie"] ?? "").split(separator: ";").map { $0.drop { $0 == " " } }
    let tokens = pairs.filter { $0.hasPrefix(cookie + "=") }.map { String($0.dropFirst(cookie.count + 1)) }
    guard tokens.count <= 1 else { throw .unknownKey }
    return tokens.first
  }

  /// `auth`, as the admin functions of the database take it; nil for what needs none.
  func document(configured: String?) -> JSON? {
    let own = JSON.string(Secret.sha256(configured ?? ""))
    return switch self {
    case .byHand: nil
    case .configured: ["configured": own]
    case .key(let key): ["key": .string(Secret.sha256(key))]
    case .session(let token): ["session": .string(Secret.sha256(token)), "configured": own]
    }
  }

  /// Whether the database has to say whose it is.
  var isUnproven: Bool {
    switch self {
    case .byHand, .configured: false
    case .key, .session: true
    }
  }

  /// A page of another origin can send the cookie, but cannot know the token that goes with it.
  func checkOrigin(of request: Request) throws(Problem) {
    guard case .session(let token) = self, !["GET", "HEAD"].contains(request.method) else { return }
    guard Secret.isSame(request.headers["x-csrf-token"] ?? "", Secret.csrfToken(of: token)) else {
      throw Problem(.csrfTokenRequired)
    }
  }
}

extension Problem {
  /// The same for every key that is missing, wrong, doubled or ended.
  static let unknownKey = Problem(.keyRequired)
}
