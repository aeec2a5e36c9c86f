import Contract
import Testing
import Wire

@testable import Admin

@Suite("Access tokens of Supabase Auth") struct AccessTokenTests {
  private static let secret = "a-secret-of-forty-characters-0123456789-"
  private static let issuer = "https://ref.supabase.co/auth/v1"
  private static let id = "0b1c2d3e-0000-4000-8000-00000000000a"
  private static let now = Instant(milliseconds: 1_800_000_000_000)

  private static let tokens = AccessTokens(issuer: issuer, secret: .secret(Array(secret.utf8)), keys: [:])

  private static let claims: JSON = [
    "iss": .string(issuer), "aud": "authenticated", "role": "authenticated", "sub": .string(id),
    "email": "ana@example.com", "exp": 1_800_003_600, "iat": 1_800_000_000, "aal": "aal1", "is_anonymous": false,
    "app_metadata": ["provider": "email", "leadpipe_role": "agent"], "user_metadata": [:],
  ]

  private static func part(_ bytes: some Collection<UInt8>) -> String {
    Base64.encode(Array(bytes)).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }

  private static func token(
    _ claims: String, header: String = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", secret: [UInt8] = Array(secret.utf8)
  ) -> String {
    let message = part(header.utf8) + "." + part(claims.utf8)
    return message + "." + part(HMAC.sha256(message.utf8, key: secret))
  }

  private func userOf(_ token: String) -> AccessTokens.User? { Self.tokens.user(of: token, at: Self.now) }

  @Test("a token gives its user, whose name always has the id") func accepted() throws {
    let user = try #require(userOf(Self.token(Self.claims.text)))
    #expect(user.name == "ana@example.com \(Self.id)" && user.rights == "write")
    #expect(user.expiresAt == Instant(milliseconds: 1_800_003_600_000))
    #expect(user.document["expiresAt"] == "2027-01-15T09:00:00.000Z")
    #expect(
      AccessTokens.isToken(Self.token("{}")) && !AccessTokens.isToken("lp_0123") && !AccessTokens.isToken("eyJ.a"))
  }

  @Test(
    "what an issuer may write differently is accepted",
    arguments: [
      ("aud", ["other", "authenticated"]), ("email", ""), ("email", "ana@example.com\nroot"), ("nbf", 1_800_000_060),
      ("iat", 1_800_000_060), ("exp", 1_799_999_941), ("is_anonymous", false),
    ] as [(String, JSON)])
  func tolerated(_ name: String, _ value: JSON) {
    let user = userOf(Self.token(Self.claims.setting(name, value).text))
    #expect(user?.id.text == Self.id)
    if name == "email" { #expect(user?.name == Self.id) }
  }

  @Test(
    "a token whose claims are not those of a user of this project is refused",
    arguments: [
      ("iss", "https://other.supabase.co/auth/v1"), ("iss", ["https://ref.supabase.co/auth/v1"]), ("aud", "anon"),
      ("aud", []), ("aud", nil), ("role", "service_role"), ("role", "anon"), ("sub", "1"), ("sub", nil),
      ("exp", 1_799_999_940), ("exp", "1800003600"), ("exp", nil), ("exp", -1), ("exp", .number("1e12")),
      ("exp", .number("999999999999999999")), ("iat", 1_800_000_061), ("iat", nil), ("nbf", 1_800_000_061),
      ("nbf", "0"), ("is_anonymous", true), ("is_anonymous", "false"),
      ("app_metadata", ["leadpipe_role": "Owner"]), ("app_metadata", ["leadpipe_role": ["owner"]]),
      ("app_metadata", ["leadpipe_role": nil]),
    ] as [(String, JSON)])
  func refusedClaims(_ name: String, _ value: JSON) {
    #expect(userOf(Self.token(Self.claims.setting(name, value).text)) == nil)
  }

  @Test("each claim that is needed must be there", arguments: ["iss", "aud", "role", "sub", "exp"])
  func missing(_ name: String) { #expect(userOf(Self.token(Self.claims.removing(name).text)) == nil) }

  @Test(
    "only leadpipe_role in app_metadata gives rights",
    arguments: [
      (["leadpipe_role": "admin"], "owner"), (["leadpipe_role": "owner"], "owner"),
      (["leadpipe_role": "write"], "write"),
      (["leadpipe_role": "viewer"], "read"), (["leadpipe_role": "read"], "read"), (["role": "admin"], nil), ([:], nil),
    ] as [(JSON, String?)])
  func roles(_ metadata: JSON, _ rights: String?) {
    let claims = Self.claims.setting("app_metadata", metadata).setting("leadpipe_role", "owner")
      .setting("user_metadata", ["leadpipe_role": "owner", "app_metadata": ["leadpipe_role": "owner"]])
    let user = userOf(Self.token(claims.text))
    #expect(user != nil && user?.rights == rights)
  }

  @Test("the kind of the key decides the algorithm, not the header") func confusion() throws {
    let claims = Self.claims.text
    #expect(userOf(Self.token(claims, header: "{\"alg\":\"none\"}")) == nil)
    #expect(userOf(Self.token(claims, header: "{}")) == nil)
    #expect(userOf(Self.token(claims, header: "{\"alg\":\"hs256\"}")) == nil)
    #expect(userOf(Self.token(claims, header: "{\"alg\":\"HS512\"}")) == nil)
    #expect(userOf(Self.token(claims, header: "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}")) == nil)
    #expect(userOf(Self.token(claims, header: "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}")) == nil)
    #expect(userOf(Self.token(claims, header: "{\"alg\":\"HS256\",\"kid\":\"any\"}")) != nil)
    let unsigned = Self.part("{\"alg\":\"none\"}".utf8) + "." + Self.part(claims.utf8) + "."
    #expect(userOf(unsigned) == nil)

    let keys = try JSONWebKeys(SignatureTests.keys)
    let publicOnly = AccessTokens(issuer: Self.issuer, secret: nil, keys: keys.keys)
    guard case .rsa(let n, _) = keys.keys["a2"], case .p256(let x, let y) = keys.keys["a3"] else {
      Issue.record("no keys")
      return
    }
    for secret in [n, x + y, [4] + x + y, Array(SignatureTests.keys.utf8), []] {
      for header in ["{\"alg\":\"HS256\",\"kid\":\"a2\"}", "{\"alg\":\"HS256\",\"kid\":\"a3\"}", "{\"alg\":\"HS256\"}"]
      {
        #expect(publicOnly.user(of: Self.token(claims, header: header, secret: secret), at: Self.now) == nil)
      }
    }
    for (id, algorithm) in [("a2", "ES256"), ("a3", "RS256"), ("a2", "RS256"), ("a4", "RS256")] {
      let header = "{\"alg\":\"\(algorithm)\",\"kid\":\"\(id)\"}"
      #expect(publicOnly.user(of: Self.token(claims, header: header), at: Self.now) == nil)
    }
  }

  @Test("a token must have one form only") func form() {
    let token = Self.token(Self.claims.text)
    let parts = token.split(separator: ".").map(String.init)
    #expect(userOf(token) != nil)
    for wrong in [
      token + "=", token + ".", "." + token, parts[0] + "." + parts[1], " " + token, token + " ",
      token.replacing(parts[1], with: parts[1] + "="), token.replacing(parts[0], with: ""),
      parts[1] + "." + parts[0] + "." + parts[2], token + "\u{0}",
    ] { #expect(userOf(wrong) == nil, "\(wrong)") }
    // The last character of 32 bytes has two bits that mean nothing.
    let last = parts[2].last.map { "AEIMQUYcgkosw048".contains($0) } ?? false
    #expect(last)
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    let other = alphabet[alphabet.firstIndex(of: token.last ?? "A").map { $0 + 1 } ?? 0]
    #expect(userOf(String(token.dropLast()) + String(other)) == nil)
  }

  @Test("repeated claims, other documents and tokens that are too long are refused") func documents() {
    let text = Self.claims.text
    #expect(userOf(Self.token(String(text.dropLast()) + ",\"sub\":\"\(Self.id)\"}")) == nil)
    #expect(userOf(Self.token(text, header: "{\"alg\":\"none\",\"alg\":\"HS256\"}")) == nil)
    for wrong in ["[]", "", "null", "{", text + "x"] { #expect(userOf(Self.token(wrong)) == nil) }
    #expect(userOf(Self.token(Self.claims.setting("x", .string(String(repeating: "x", count: 5000))).text)) != nil)
    #expect(userOf(Self.token(Self.claims.setting("x", .string(String(repeating: "x", count: 6200))).text)) == nil)
    #expect(userOf(Self.token(text, secret: Array("another-secret".utf8))) == nil)
  }
}
