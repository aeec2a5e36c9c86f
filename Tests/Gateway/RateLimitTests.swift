import Contract
import Host
import Limits
import NIOHTTP1
import Testing
import Wire

@testable import gateway

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
      "RATE_LIMIT_STORE": "redis", "TRUSTED_PROXIES": "10.0.0.1/8", "ALLOWED_ORIGINS": "https://Good.com",
      "FRONTEND_URL": "good.com",
    ]
    let (end, text) = try await refusedStart(settings)
    #expect(end == .exited(78))
    for name in settings.keys { #expect(text.contains("[ERROR] \(name) must be ")) }
    #expect(text.contains("RATE_LIMIT_STORE must be memory or postgres"))
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
