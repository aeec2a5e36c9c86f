import Contract
import Limits
import NIOCore
import NIOPosix
import Testing
import Wire

@testable import gateway

/// Tests of which keys have a count of their own and which requests are refused, without a running gateway.
@Suite struct ClientRateLimitsTests {
  private static let address = ClientAddress("192.0.2.1")
  private let endpoint = Description(
    name: "admin", kind: .endpoint, summary: "a test", access: .admin, rateClass: "admin", environment: [],
    input: .init([:]),
    output: .init([:]))
  private let limits = ClientRateLimits(RateLimit(count: 100, seconds: 60).map { [.admin: $0] } ?? [:])

  /// Sends a request with this session from `address`; if it is tested, its reply has `status`. Returns the name of the
  /// limit that refused the request, whether it had to wait for its turn, and the number of requests that are left.
  private func ask(
    _ session: String, _ status: Int, opens: String? = nil
  ) throws -> (refusedBy: String?, waits: Bool, remaining: Int) {
    let head = try RequestHead(
      MessageHead(
        method: "GET", target: "/admin", isHTTP10: false,
        fields: [("Host", "a"), ("Cookie", "__Host-leadpipe_session=\(session)")]))
    let quota = limits.admit(head.headers, hasBody: false, of: Self.address, to: endpoint)
    if let quota, !quota.isAllowed { return (quota.name, false, 0) }
    let test = limits.beginTest(head.headers, of: Self.address, quota)
    let cookies = opens.map { ["__Host-leadpipe_session=\($0); Path=/"] } ?? []
    let reply = Reply(status: status, headers: [:], cookies: cookies, body: [])
    let refusal = limits.endTest(test, reply, to: head.headers, of: Self.address, quota)
    let waits = if case .inTurn = test { true } else { false }
    return (refusal?.name, waits, quota?.verdict.remaining ?? 0)
  }

  @Test func wrongKeysOfOthersDelayARightOneButDoNotRefuseIt() throws {
    #expect(try ask("good", 200) == (nil, false, 99))
    for guess in 0..<20 { #expect(try ask("wrong-\(guess)", 401) == (nil, false, 98 - guess)) }
    #expect(try ask("wrong", 401) == ("refused-keys", true, 78))
    // Of those that were accepted before, and the session that they open, none waits.
    #expect(try ask("good", 200, opens: "mine") == (nil, false, 99))
    #expect(try ask("mine", 200) == (nil, false, 99))
    // Another right key waits once.
    #expect(try ask("new", 200) == (nil, true, 77))
    #expect(try ask("new", 200) == (nil, false, 99))
    // So it is if the whole limit of the address is used up.
    for _ in 0..<77 { #expect(try ask("wrong", 401).waits) }
    #expect(try ask("wrong", 401) == ("admin", true, 0))
    #expect(try ask("newer", 200) == (nil, true, 0))
    #expect(try ask("newer", 200) == (nil, false, 99))
  }

  @Test func guessesAreCountedBeforeTheyAreTested() throws {
    let tests = (0..<40).map { limits.beginTest(["x-admin-api-key": "wrong-\($0)"], of: Self.address, nil) }
    #expect(tests.count { if case .counted = $0 { true } else { false } } == 20)
    // Replies other than 401 give their guess back.
    for test in tests.prefix(5) {
      let reply = Reply(status: 404, headers: [:], body: [])
      #expect(limits.endTest(test, reply, to: [:], of: Self.address, nil) == nil)
    }
    let more = (0..<10).map { limits.beginTest(["x-admin-api-key": "other-\($0)"], of: Self.address, nil) }
    #expect(more.count { if case .counted = $0 { true } else { false } } == 5)
  }

  @Test func aSessionThatHasExpiredIsNoLongerKnown() throws {
    #expect(try ask("old", 200) == (nil, false, 99))
    // Its page keeps sending requests.
    for _ in 0..<20 { #expect(try !ask("old", 401).waits) }
    #expect(try ask("old", 401) == ("refused-keys", true, 79))
  }

  /// Far more sessions log in than the limiter remembers.
  @Test func afterManyLoginsANewSessionStillHasItsOwnCount() throws {
    for login in 0..<3000 {
      let reply = Reply(status: 201, headers: [:], cookies: ["__Host-leadpipe_session=\(login)"], body: [])
      _ = limits.endTest(.free, reply, to: [:], of: Self.address, nil)
    }
    // The first request of a session is counted for the address.
    for (session, remaining) in [("next", [99, 99, 98]), ("another", [98, 99, 98])] {
      for number in remaining { #expect(try ask(session, 200) == (nil, false, number)) }
    }
  }

  @Test func knowsOneOfSeveralSessionsButNotTwoKeys() {
    #expect(PresentedSecrets(["cookie": "a=b; leadpipe_session=x; __Host-leadpipe_session=y"]).hashes.count == 2)
    #expect(PresentedSecrets(["cookie": "leadpipe_session=x", "x-admin-api-key": "k"]).hashes.count == 1)
    #expect(PresentedSecrets(["authorization": "Bearer k", "x-admin-api-key": "k"]).hashes.isEmpty)
    #expect(PresentedSecrets(["authorization": "Basic k", "cookie": "leadpipe_session=x"]).hashes.isEmpty)
  }
}

@Suite struct TurnQueueTests {
  @Test func oneOfAnAddressAtATimeInOrder() async throws {
    let (queue, loop) = (TurnQueue(), MultiThreadedEventLoopGroup.singleton.next())
    let (key, other) = (RateKey.v4(1), RateKey.v4(2))
    let turns = (0...TurnQueue.capacity).map { _ in queue.turn(of: key, on: loop) }
    #expect(turns.allSatisfy { $0 != nil } && queue.turn(of: key, on: loop) == nil)
    // Another address does not wait for it.
    try await queue.turn(of: other, on: loop)?.get()
    // Those whose clients are gone cost no time.
    for turn in turns {
      try await turn?.get()
      queue.end(key, wasTested: false, on: loop)
    }
    let start = ContinuousClock.now
    for _ in 0..<4 {
      try await queue.turn(of: key, on: loop)?.get()
      queue.end(key, wasTested: true, on: loop)
    }
    #expect(ContinuousClock.now - start >= .milliseconds(150))
  }
}
