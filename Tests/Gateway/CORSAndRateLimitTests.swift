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

@Suite struct RateLimitTests {
  /// A handler that accepts keys and sessions that begin with `right`, and replies 401 to all other requests.
  private static func guarded(_ name: String, rateClass: String, access: Description.Access = .admin) -> Script {
    var script = Script(
      name, ("GET", "/\(name)"),
      run:
        #"if grep -q -e '"x-admin-api-key":"right' -e Bearer.right -e leadpipe_session=right; then echo '{"statusCode":200}'; else echo '{"statusCode":401}'; fi"#
    )
    script.access = access
    script.rateClass = rateClass
    return script
  }

  @Test func everyReplyOfARouteHasRateLimitHeaders() async throws {
    var script = Script.echo
    script.rateClass = "lead"
    let gateway = try await RunningGateway.start([script], ["RATE_LIMIT_LEAD": "4/60"])
    for (number, remaining) in [3, 3, 2, 1, 0].enumerated() {
      let answer = await gateway.ask(
        "POST", "/echo/1", number == 1 ? ["Content-Type: text/plain"] : [], body: number == 2 ? nil : "{}")
      #expect(answer.status == (number == 1 ? 415 : 200))
      #expect(answer["ratelimit-policy"] == "\"lead\";q=4;w=60")
      #expect(answer["ratelimit"]?.hasPrefix("\"lead\";r=\(remaining);t=") == true)
      #expect(answer["x-ratelimit-limit"] == "4" && answer["x-ratelimit-remaining"] == String(remaining))
    }
    let refused = await gateway.ask("POST", "/echo/1", body: "{}")
    let wait = refused["retry-after"].flatMap { Int($0) } ?? 0
    #expect(refused.status == 429 && 50...60 ~= wait && refused["ratelimit"] == "\"lead\";r=0;t=\(wait)")
    #expect(refused.body.contains("\"Too many requests\"") && refused["content-type"] == "application/problem+json")
    #expect(try JSON(reading: Array(refused.body.utf8))["retryAfterSeconds"]?.integer == wait)
    // The body of a refused request is not read. A request without a route is not limited.
    #expect(refused["connection"] == "close")
    #expect(await gateway.ask("GET", "/nothing")["ratelimit"] == nil)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(
    "a failure of the service costs the client nothing, an error of its own costs half",
    arguments: [(500, nil), (503, nil), (504, nil), (400, 2), (422, 2), (404, 1), (409, 1), (201, 1)] as [(Int, Int?)])
  func cost(_ status: Int, _ number: Int?) async throws {
    // Two requests are admitted; `number` is how many requests with this status cost as much as one of them.
    let script = Script(
      "ask", ("GET", "/ask"), ("GET", "/fine"),
      run:
        #"if grep -q '"rawPath":"/ask"'; then echo '{"statusCode":\#(status)}'; else echo '{"statusCode":200}'; fi"#)
    let gateway = try await RunningGateway.start([script], ["RATE_LIMIT_DEFAULT": "2/60"])
    for sent in 1...8 where number.map({ sent <= $0 }) ?? true {
      let answer = await gateway.ask("GET", "/ask")
      #expect(answer.status == status)
      #expect(answer["x-ratelimit-remaining"] == (sent == number ? "1" : "2"))
    }
    var statuses: [Int] = []
    for _ in 0..<3 { statuses.append(await gateway.ask("GET", "/fine").status) }
    #expect(statuses == (number == nil ? [200, 200, 429] : [200, 429, 429]))
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func adminRequestsAreCountedPerAcceptedKey() async throws {
    let gateway = try await RunningGateway.start(
      [Self.guarded("admin", rateClass: "admin")], ["RATE_LIMIT_ADMIN": "3/60"])
    for key in ["right-1", "right-2"] {
      // The first request is counted for the address, because the key has not been accepted yet.
      for _ in 0..<4 { #expect(await gateway.ask("GET", "/admin", ["X-Admin-Api-Key: \(key)"]).status == 200) }
      #expect(await gateway.ask("GET", "/admin", ["x-admin-api-key: \(key)"]).status == 429)
      // The same key in another header.
      #expect(await gateway.ask("GET", "/admin", ["Authorization: Bearer \(key)"]).status == 429)
    }
    // A request without a key, with two keys, with another scheme or with a key that was never accepted is counted for
    // its address.
    let without = [
      [], ["X-Admin-Api-Key: a", "Authorization: Bearer b"], ["Authorization: Basic x"], ["X-Admin-Api-Key: new"],
    ]
    var statuses: [Int] = []
    for headers in without { statuses.append(await gateway.ask("GET", "/admin", headers).status) }
    #expect(statuses == [401, 429, 429, 429])
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aSessionIsCountedLikeAKey() async throws {
    let gateway = try await RunningGateway.start(
      [Self.guarded("admin", rateClass: "admin")], ["RATE_LIMIT_ADMIN": "3/60"])
    var statuses: [Int] = []
    for session in ["right-1", "right-2"] {
      for cookie in [
        "a=b; leadpipe_session=\(session)", "leadpipe_session=\(session)", "leadpipe_session=\(session); c",
      ] {
        statuses.append(await gateway.ask("GET", "/admin", ["Cookie: \(cookie)"]).status)
      }
    }
    // Two of these were counted for the address. A known session counts even beside another one, but not beside a key.
    let others = [
      ["Cookie: leadpipe_session=right-1; leadpipe_session=x"],
      ["Cookie: leadpipe_session=right-1", "X-Admin-Api-Key: x"],
    ]
    for headers in others { statuses.append(await gateway.ask("GET", "/admin", headers).status) }
    statuses.append(await gateway.ask("GET", "/admin", ["Cookie: leadpipe_session=right-1"]).status)
    #expect(statuses == [200, 200, 200, 200, 200, 200, 200, 200, 429])
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func refusedKeysAreCountedPerAddress() async throws {
    let gateway = try await RunningGateway.start([Self.guarded("admin", rateClass: "admin")])
    for guess in 0..<20 {
      #expect(await gateway.ask("GET", "/admin", ["X-Admin-Api-Key: wrong-\(guess)"]).status == 401)
    }
    let refused = await gateway.ask("GET", "/admin", ["X-Admin-Api-Key: wrong-x"])
    #expect(refused.status == 429 && refused["ratelimit-policy"] == "\"refused-keys\";q=20;w=60")
    // A right key is accepted, also while others guess.
    async let guesses = withTaskGroup(of: Int.self) { group in
      for guess in 0..<10 {
        group.addTask { await gateway.ask("GET", "/admin", ["X-Admin-Api-Key: wrong-\(guess)"]).status }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(await gateway.ask("GET", "/admin", ["X-Admin-Api-Key: right-3"]).status == 200)
    #expect(await guesses == Array(repeating: 429, count: 10))
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func concurrentGuessesAreLimitedToo() async throws {
    let gateway = try await RunningGateway.start([Self.guarded("admin", rateClass: "admin")])
    let statuses = await withTaskGroup(of: Int.self) { group in
      for guess in 0..<40 {
        group.addTask {
          // Forty requests exceed the number of slots: a request that is refused for this reason is sent again.
          while true {
            let status = await gateway.ask("GET", "/admin", ["X-Admin-Api-Key: wrong-\(guess)"]).status
            if status != 503 { return status }
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(statuses.count { $0 == 401 } == 20 && statuses.count { $0 == 429 } == 20)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aPublicRouteIgnoresKeys() async throws {
    let gateway = try await RunningGateway.start(
      [Self.guarded("open", rateClass: "admin", access: .public)], ["RATE_LIMIT_ADMIN": "2/60"])
    var statuses: [Int] = []
    for key in 0..<3 { statuses.append(await gateway.ask("GET", "/open", ["X-Admin-Api-Key: right-\(key)"]).status) }
    #expect(statuses == [200, 200, 429])
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func namesEveryInvalidSetting() async throws {
    let settings = [
      "RATE_LIMIT_LEAD": "+10/60", "RATE_LIMIT_CONTACT": "10", "RATE_LIMIT_ADMIN": "0/60", "RATE_LIMIT_EXPORT": "on",
      "RATE_LIMIT_DEFAULT": "10/0",
      "RATE_LIMIT_STORE": "postgres", "TRUSTED_PROXIES": "10.0.0.1/8", "ALLOWED_ORIGINS": "https://Good.com",
      "FRONTEND_URL": "good.com",
    ]
    let (end, text) = try await refusedStart(settings)
    #expect(end == .exited(78))
    for name in settings.keys { #expect(text.contains("[ERROR] \(name) must be ")) }
    #expect(text.contains("this version cannot share counters among gateways"))
  }

  @Test func refusesUnknownRateClassesAndMethods() async throws {
    let folder = temporaryFolder()
    defer { #expect(throws: Never.self) { try remove(folder) } }
    var script = Self.guarded("one", rateClass: "vip")
    script.write(to: folder)
    let (end, text) = try await refusedStart(["LEADPIPE_HANDLERS": folder])
    #expect(end == .exited(78) && text.contains("one describes an unknown rate class"))
    script = Script("one", ("BREW", "/pot"), run: "exit")
    script.write(to: folder)
    let (_, reason) = try await refusedStart(["LEADPIPE_HANDLERS": folder])
    #expect(reason.contains("describes a route with a method that is not one of DELETE, GET, HEAD, PATCH, POST, PUT"))
    Script("one", ("OPTIONS", "/pot"), run: "exit").write(to: folder)
    #expect(try await refusedStart(["LEADPIPE_HANDLERS": folder]).1.contains("one describes a route with a method"))
  }
}
