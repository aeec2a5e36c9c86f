import Contract
import Testing
import Wire

@testable import Admin

@Suite("Credentials of a request") struct CredentialTests {
  private static let key = "the-key-of-the-settings"

  private func request(_ headers: [String: String], method: String = "GET") -> Request {
    var request = Request(method: method, path: "/", requestID: "r", receivedAt: .now)
    request.headers = headers
    return request
  }

  /// Returns the kind of credential that is accepted, or the status with which the request is rejected.
  private func accepted(_ headers: [String: String], configured: String? = key) -> String {
    do throws(Problem) {
      return try Credential.all(of: request(headers), configured: configured).map { credential in
        switch credential {
        case .byHand: "by hand"
        case .configured: "configured"
        case .key(let key): "key \(key)"
        case .session(let token): "session \(token)"
        case .login(let token): "login \(token)"
        case .user(let user): "user \(user.id.text)"
        }
      }.joined(separator: ", ")
    } catch { return String(error.kind.status) }
  }

  @Test(
    "accepts exactly one key or one session cookie",
    arguments: [
      (["x-admin-api-key": key], "configured"), (["authorization": "Bearer \(key)"], "configured"),
      (["x-admin-api-key": "other"], "key other"), (["authorization": "Bearer other"], "key other"),
      (["x-admin-api-key": String(key.dropLast())], "key \(key.dropLast())"),
      (["x-admin-api-key": key + "\u{0}"], "key \(key)\u{0}"),
      (["x-admin-api-key": "\(key),\(key)"], "key \(key),\(key)"), (["authorization": "Bearer  \(key)"], "key  \(key)"),
      (["authorization": "bearer \(key)"], "configured"), (["authorization": key], "401"),
      (["authorization": "Basic x"], "401"),
      (["x-admin-api-key": key, "authorization": "Bearer \(key)"], "401"), ([:], "401"),
      (["cookie": "a=b; __Host-leadpipe_session=abc"], "session abc"),
      (["cookie": "x__Host-leadpipe_session=abc"], "401"), (["cookie": "__host-leadpipe_session=abc"], "401"),
      // Over https, any host of the domain can set a cookie without the prefix.
      (["cookie": "leadpipe_session=abc"], "401"),
      (["cookie": "leadpipe_session=abc", "host": "localhost"], "session abc"),
      (["cookie": "__Host-leadpipe_session=a; __Host-leadpipe_session=b"], "session a, session b"),
      (["cookie": "__Host-leadpipe_session=a; __Host-leadpipe_session=a"], "session a"),
      (["cookie": "__Host-leadpipe_session=abc", "x-admin-api-key": key], "configured"),
    ] as [([String: String], String)])
  func oneCredential(_ headers: [String: String], _ expected: String) {
    #expect(accepted(headers) == expected)
  }

  @Test("without ADMIN_API_KEY, accepts only a bare request on the command line") func notConfigured() {
    #expect(accepted(["x-admin-api-key": Self.key], configured: nil) == "503")
    #expect(accepted(["cookie": "__Host-leadpipe_session=abc"], configured: nil) == "503")
    var byHand = request([:])
    byHand.isBare = true
    #expect(throws: Never.self) { try Credential.all(of: byHand, configured: nil) }
  }

  @Test("a change by session requires the session's CSRF token; a change by key does not") func crossSite() throws {
    let cookie = ["cookie": "__Host-leadpipe_session=abc"]
    let right = cookie.merging(["x-csrf-token": Secret.csrfToken(of: "abc")]) { $1 }
    let wrong = cookie.merging(["x-csrf-token": Secret.csrfToken(of: "abd")]) { $1 }
    for (headers, method, isGood) in [
      (cookie, "GET", true), (cookie, "POST", false), (wrong, "DELETE", false), (right, "PATCH", true),
      (["x-admin-api-key": Self.key], "POST", true),
    ] {
      let request = request(headers, method: method)
      let credential = try #require(Credential.all(of: request, configured: Self.key).first)
      do throws(Problem) {
        try credential.checkOrigin(of: request)
        #expect(isGood)
      } catch {
        #expect(!isGood && error.kind == .forbidden)
      }
    }
  }

  @Test("a token has 128 random bits, a key 256, and SHA-256 matches its test vector") func secrets() {
    #expect(Secret.token().utf8.count == 32 && Secret.token() != Secret.token())
    #expect(Secret.key().hasPrefix("lp_") && Secret.key().utf8.count == 67)
    #expect(Secret.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test("the cookie is HttpOnly and SameSite=Strict, and Secure unless the client is on this machine") func cookie() {
    let remote = Session.cookie("t", for: request(["host": "leads.example.com"]))
    #expect(remote == "__Host-leadpipe_session=t; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200")
    var proxied = request(["host": "localhost:4000"])
    proxied.sourceIP = "203.0.113.5"
    #expect(Session.cookie("t", for: proxied).contains("Secure"))
    #expect(!Session.cookie("t", for: request(["host": "localhost:4000"])).contains("Secure"))
    #expect(Session.cookie("t", for: request(["host": "127.evil.example"])).contains("Secure"))
    #expect(Session.cookie(nil, for: request([:])).contains("Max-Age=0"))
  }
}
