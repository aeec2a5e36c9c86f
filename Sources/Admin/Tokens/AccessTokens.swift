import Contract
import Wire

/// Verifies access tokens of Supabase Auth: JSON Web Tokens (RFC 7519) in compact form (RFC 7515 §7.1), following the
/// best practices of RFC 8725.
package struct AccessTokens: Sendable {
  /// A user of Supabase Auth whose token has been verified.
  struct User: Equatable {
    /// `sub`, in lower case.
    let id: UUIDText
    /// `email`, if the account has one that can be shown.
    let email: String?
    /// The rights that the token gives; nil if it leaves them to the database.
    let rights: String?
    /// `exp`.
    let expiresAt: Instant

    /// How the user appears in timelines and in the audit log. The id is always part of it: users can change their
    /// email addresses.
    var name: String { (email.map { $0 + " " } ?? "") + id.text }

    /// The value of `auth.user` for the database's admin functions.
    var document: JSON {
      [
        "id": .string(id.text), "name": .string(name), "rights": JSON(rights),
        "expiresAt": .string(expiresAt.iso8601),
      ]
    }
  }

  /// The audience of users who have logged in.
  private static let audience: JSON = "authenticated"
  /// Tokens of Supabase Auth have about 1 KiB.
  private static let limit = 8192
  /// How far the clocks may differ, in seconds.
  private static let leeway = 60
  /// `leadpipe_role` in app_metadata, which only the service role can set, and the rights that it gives.
  private static let roles = [
    "owner": "owner", "admin": "owner", "write": "write", "agent": "write", "read": "read", "viewer": "read",
  ]

  let issuer: String
  /// For HS256.
  let secret: SigningKey?
  /// For ES256 and RS256, by `kid`.
  let keys: [String: SigningKey]

  /// True if a text has the form of a JSON Web Token. A key of ours never has it: `ey` begins a JSON object in base64.
  static func isToken(_ text: String) -> Bool {
    text.hasPrefix("ey") && text.utf8.count { $0 == UInt8(ascii: ".") } == 2
  }

  /// Returns the user of a token. Nil for every token that is not valid: callers must not learn why.
  func user(of token: String, at now: Instant) -> User? {
    guard token.utf8.count <= Self.limit else { return nil }
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Self.object(parts[0]), let signature = Base64URL.decode(parts[2]),
      let key = key(for: header), key.verifies(signature, of: "\(parts[0]).\(parts[1])"),
      let claims = Self.object(parts[1])
    else { return nil }
    return user(claims, now.milliseconds / 1000)
  }

  /// Returns the key that a token's header asks for, if its kind has the header's algorithm.
  private func key(for header: JSON) -> SigningKey? {
    // RFC 7515 §4.1.11: what a header calls critical must be understood. Nothing is.
    guard header["crit"] == nil, header["typ"].map({ $0.string?.uppercased() == "JWT" }) ?? true else { return nil }
    switch header["alg"]?.string {
    case "HS256": return secret
    case let algorithm?:
      return header["kid"]?.string.flatMap { keys[$0] }.flatMap { $0.algorithm == algorithm ? $0 : nil }
    case nil: return nil
    }
  }

  /// Checks the claims (RFC 7519 §4.1).
  private func user(_ claims: JSON, _ now: Int) -> User? {
    guard claims["iss"] == .string(issuer), isForUs(claims["aud"]), claims["role"] == Self.audience,
      // Anonymous users have logged in as nobody.
      claims["is_anonymous"] ?? false == false, let id = claims["sub"]?.string.flatMap(UUIDText.init),
      let end = claims["exp"]?.integer, 0...253_402_300_799 ~= end, now < end + Self.leeway
    else { return nil }
    for name in ["iat", "nbf"] {
      guard let start = claims[name] else { continue }
      guard let start = start.integer, start <= now + Self.leeway else { return nil }
    }
    let role = claims["app_metadata"]?["leadpipe_role"]
    // A role that is misspelt must not fall back to what the database says.
    let rights = role.map { $0.string.flatMap { Self.roles[$0] } ?? "" }
    guard rights != "" else { return nil }
    return User(
      id: id, email: claims["email"]?.string.flatMap(Self.shown), rights: rights,
      expiresAt: Instant(milliseconds: end * 1000))
  }

  private func isForUs(_ audience: JSON?) -> Bool {
    audience == Self.audience || audience?.array?.contains(Self.audience) == true
  }

  private static func shown(_ email: String) -> String? { EmailAddress(email)?.text }

  /// Decodes a part that must be a JSON object. The reader refuses repeated members.
  private static func object(_ part: Substring) -> JSON? {
    guard let bytes = Base64URL.decode(part), let json = try? JSON(reading: bytes), json.members != nil else {
      return nil
    }
    return json
  }
}
