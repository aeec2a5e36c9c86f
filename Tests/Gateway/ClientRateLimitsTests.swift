import Contract
import Limits
import NIOHTTP1
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

  /// Sends a request with this session from `address`; if it is admitted, its reply has `status`. Returns the name of
  /// the limit that refused the request, or nil and the number of requests that are left.
  private func ask(_ session: String, _ status: Int) throws -> (refusedBy: String?, remaining: Int) {
    let fields = HTTPHeaders([("Host", "a"), ("Cookie", "leadpipe_session=\(session)")])
    let head = try RequestHead(HTTPRequestHead(version: .http1_1, method: .GET, uri: "/admin", headers: fields))
    let quota = try #require(limits.admit(head.headers, of: Self.address, to: endpoint))
    guard quota.verdict.isAllowed else { return (quota.name, 0) }
    return (limits.learn(status, to: head.headers, of: Self.address)?.name, quota.verdict.remaining)
  }

  @Test func anExpiredSessionDoesNotLockOutOthersAtItsAddress() throws {
    for session in ["good", "old"] { #expect(try ask(session, 200).refusedBy == nil) }
    // The old session has expired, and its page keeps sending requests.
    for _ in 0..<20 { _ = try ask("old", 401) }
    for session in ["old", "new"] { #expect(try ask(session, 200).refusedBy == "refused-keys") }
    #expect(try ask("good", 200).refusedBy == nil)
    // After one refusal the session is no longer known.
    #expect(try ask("good", 401).refusedBy == "refused-keys")
    #expect(try ask("good", 200).refusedBy == "refused-keys")
  }

  /// Far more sessions log in than the limiter remembers.
  @Test func afterManyLoginsANewSessionStillHasItsOwnCount() throws {
    for login in 0..<3000 { _ = limits.learn(200, to: ["cookie": "leadpipe_session=\(login)"], of: Self.address) }
    // The first request of a session is counted for the address.
    for (session, remaining) in [("next", [99, 99, 98]), ("another", [98, 99, 98])] {
      for number in remaining { #expect(try ask(session, 200) == (nil, number)) }
    }
  }
}
