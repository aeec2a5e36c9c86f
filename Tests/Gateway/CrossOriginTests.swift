import Contract
import Host
import Limits
import NIOHTTP1
import Testing
import Wire

@testable import gateway

/// Tests of the origins that may read a reply.
@Suite struct CrossOriginTests {
  private static let script = {
    var script = Script(
      "form",
      run:
        #"cat > /dev/null; echo '{"statusCode":200,"headers":{"access-control-allow-origin":"*","vary":"Accept","x-ratelimit-limit":"9"},"body":"ok"}'"#
    )
    script.routes = [("POST", "/form"), ("GET", "/form")]
    return script
  }()
  private static let admin = {
    var script = Script(
      "admin", ("GET", "/admin/{id}"), ("PATCH", "/admin/{id}"),
      run: #"cat > /dev/null; echo '{"statusCode":200,"body":"ok"}'"#)
    script.access = .admin
    script.rateClass = "admin"
    return script
  }()
  private static let settings = [
    "FRONTEND_URL": "https://Good.com:443/app?x", "ALLOWED_ORIGINS": "http://localhost:3000, https://xn--mnchen-3ya.de",
  ]

  @Test func onlyListedOriginsMayReadReplies() async throws {
    let gateway = try await RunningGateway.start([Self.script, Self.admin], Self.settings)
    for origin in ["https://good.com", "http://localhost:3000", "https://xn--mnchen-3ya.de"] {
      let answer = await gateway.ask("GET", "/form", ["Origin: \(origin)"])
      #expect(answer["access-control-allow-origin"] == origin && answer["access-control-allow-credentials"] == nil)
      #expect(answer["access-control-expose-headers"]?.contains("x-request-id") == true)
      #expect(answer.headers.filter { $0.name == "vary" }.map(\.value) == ["Accept", "Origin"])
      let admin = await gateway.ask("GET", "/admin/1", ["Origin: \(origin)"])
      #expect(admin["access-control-allow-credentials"] == "true")
    }
    for origin in [
      "https://good.com.evil.com", "https://evilgood.com", "https://good.com:8443", "http://good.com",
      "https://GOOD.com", "https://good.com.", "null",
      "https://good.com%60.evil.com", "https://good.com@evil", "https://münchen.de", "https://xn--mnchen-3yb.de",
      "https://good.com/", "https://good.com:443",
      "https://good.com https://good.com", "https://good.com,https://evil.com", "*", "", "good.com",
      "https://www.good.com",
      "https://good.com\r\nOrigin: https://good.com", "https://good.com\r\nOrigin: https://evil.com",
    ] {
      for path in ["/form", "/admin/1", "/nothing"] {
        let answer = await gateway.ask("GET", path, ["Origin: \(origin)"])
        #expect(!answer.headers.contains { $0.name.hasPrefix("access-control-") }, "\(origin)")
        #expect(answer.headers.contains { $0 == ("vary", "Origin") })
      }
    }
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func eachBlockedOriginIsNamedOnce() async throws {
    let gateway = try await RunningGateway.start([Self.script], Self.settings)
    for origin in [
      "https://new.example", "https://new.example", "null", "https://good.com", "https://GOOD.com\u{202E}", "x",
    ] { _ = await gateway.ask("GET", "/form", ["Origin: \(origin)"]) }
    #expect(try await gateway.stop() == .exited(0))
    let end = " is not allowed: its pages cannot read replies"
    #expect(
      gateway.lines.filter { $0.contains(end) } == [
        "[WARN] The origin https://new.example\(end); if it is one of yours, add it to ALLOWED_ORIGINS",
        "[WARN] The origin null\(end)", "[WARN] An origin that no browser sends\(end)",
      ])
  }

  @Test(
    "a path without a route is logged as far as it cannot contain a secret",
    arguments: [
      ("/api/chatbot/lead", "/api/chatbot/lead"), ("/API/contact?token=secret#x", "/…/contact"), ("/", "/"),
      ("/wp-login.php", "/wp-login.php"), ("/api/contact/zahra%40example.org", "/api/contact/…"),
      ("/k/ghp_c4n4ryTokenOfSomebody", "/k/…"), ("/p/971501234567", "/p/…"), ("/v2/a_b", "/v2/a_b"),
      ("/1/2/3/4/5/6/7/8/9", "/1/2/3/4/5/6/7/…"), ("/" + String(repeating: "a", count: 25), "/…"), ("*", "…"),
    ])
  func words(_ target: String, _ words: String) { #expect(HTTPExchange.words(of: target) == words) }

  @Test func listedOriginsMayReadProblemsToo() async throws {
    let gateway = try await RunningGateway.start(
      [Self.script], Self.settings.merging(["RATE_LIMIT_DEFAULT": "2/60"]) { $1 })
    let origin = ["Origin: https://good.com"]
    let notFound = await gateway.ask("GET", "/nothing", origin)
    let method = await gateway.ask("PUT", "/form", origin)
    // Together, these two requests that must be corrected count as one.
    let type = await gateway.ask("POST", "/form", origin + ["Content-Type: text/plain"], body: "x")
    let size = await gateway.ask("POST", "/form", origin + ["Content-Length: 300001"])
    let malformed = await gateway.ask("GET", "/%", origin)
    let host = await gateway.ask("GET", "/form", origin + ["Host: b"])
    let limited = await gateway.ask("GET", "/form", origin)
    let tooMany = await gateway.ask("GET", "/form", origin)
    let all = [notFound, method, type, size, malformed, host, limited, tooMany]
    #expect(all.map(\.status) == [404, 405, 415, 413, 400, 400, 200, 429])
    for answer in all { #expect(answer["access-control-allow-origin"] == "https://good.com") }
    let unreadable = await gateway.raw("nonsense\r\n\r\n")
    #expect(unreadable.status == 400 && unreadable["vary"] == "Origin")
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func preflights() async throws {
    let gateway = try await RunningGateway.start(
      [Self.script, Self.admin], Self.settings.merging(["RATE_LIMIT_DEFAULT": "1/60"]) { $1 })
    func preflight(_ path: String, _ origin: String, _ method: String, _ headers: String? = nil) async -> Answer {
      let requested = headers.map { ["Access-Control-Request-Headers: \($0)"] } ?? []
      return await gateway.ask(
        "OPTIONS", path, ["Origin: \(origin)", "Access-Control-Request-Method: \(method)"] + requested)
    }
    let good = await preflight("/form", "https://good.com", "POST", "content-type, Idempotency-Key,x-request-id")
    #expect(good.status == 204 && good["access-control-allow-origin"] == "https://good.com")
    #expect(good["access-control-allow-methods"] == "GET, HEAD, OPTIONS, POST")
    #expect(good["access-control-allow-headers"] == "content-type, idempotency-key, traceparent, x-request-id")
    #expect(good["access-control-max-age"] == "600" && good["access-control-allow-credentials"] == nil)
    let admin = await preflight(
      "/admin/7", "https://good.com", "PATCH",
      "if-match, last-event-id, prefer, x-admin-api-key, authorization, x-csrf-token, content-type")
    #expect(admin.status == 204 && admin["access-control-allow-credentials"] == "true")
    #expect(admin["access-control-allow-headers"]?.contains("x-admin-api-key") == true)
    for (path, origin, method, headers) in [
      ("/form", "https://evil.com", "POST", "content-type"), ("/form", "null", "POST", "content-type"),
      ("/form", "https://good.com", "DELETE", "content-type"),
      ("/form", "https://good.com", "post", "content-type"), ("/form", "https://good.com", "POST, GET", "content-type"),
      ("/form", "https://good.com", "POST", "x-evil"),
      ("/form", "https://good.com", "POST", "content-type, x-admin-api-key"),
      ("/form", "https://good.com", "POST", "authorization"), ("/form", "https://good.com", "POST", "*"),
      ("/form", "https://good.com", "BREW", ""), ("/admin/7", "https://good.com", "POST", "content-type"),
    ] {
      let refused = await preflight(path, origin, method, headers)
      #expect(refused.status == 204 && refused["vary"] == "Origin")
      #expect(
        !refused.headers.contains { $0.name.hasPrefix("access-control-") }, "\(path) \(origin) \(method) \(headers)")
    }
    #expect(await preflight("/nothing", "https://good.com", "POST").status == 404)
    let plain = await gateway.ask("OPTIONS", "/form", ["Origin: https://good.com"])
    #expect(plain.status == 204 && plain["allow"] == "GET, HEAD, OPTIONS, POST")
    // Preflights are not counted: the limit's one request is still allowed.
    #expect(await gateway.ask("GET", "/form").status == 200)
    #expect(await gateway.ask("GET", "/form").status == 429)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(
    "rejects origins that no browser sends",
    arguments: [
      "*", "null", "good.com", "https://", "https:good.com", "HTTPS://good.com", "https://Good.com",
      "https://good.com/", "https://good.com:443", "http://a:80", "https://a:0",
      "https://a:080", "https://a:65536", "https://a:", "https://a b", "https://a.", "https://.a", "https://a..b",
      "https://münchen.de", "https://u@a", "https://a?b", "https://a#b",
      "ftp://a", "https://[::1", "https://[a]", "https://[::1]x", "https://a:1:2", "https://%61", "file://",
      "https://a\n",
    ])
  func noOrigins(_ text: String) {
    #expect(WebOrigin(text) == nil)
    #expect(Setting.allowedOrigins.validate("https://fine.com,\(text)") != nil)
  }

  @Test(
    "derives the origin of a URL",
    arguments: [
      ("https://Good.com", "https://good.com"), ("HTTP://good.com:80/x", "http://good.com"),
      ("https://good.com:8443?x#y", "https://good.com:8443"), ("http://[::1]:3000/", "http://[::1]:3000"),
    ])
  func origins(_ address: String, _ origin: String) {
    #expect(WebOrigin(ofAddress: address)?.text == origin)
    #expect(WebOrigin(origin)?.text == origin)
  }
}
