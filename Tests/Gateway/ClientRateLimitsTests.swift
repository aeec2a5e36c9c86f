import Handler
import Limits
import NIOHTTP1
import Testing
import Wire

@testable import gateway

/// Which keys count for themselves, and who is held up, without a gateway around it.
@Suite struct ClientLimitsTests {
  private static let office = ClientAddress("192.0.2.1")
  private let desk = Description(
    name: "desk", kind: .endpoint, summary: "a test", access: .admin, rateClass: "admin", environment: [], input: [:],
    output: [:])
  private let limits = ClientLimits(RateLimit(count: 100, seconds: 60).map { [.admin: $0] } ?? [:])

  /// Asks with this session from the one address: by which limit it was held up, or else how many requests it has left;
  /// who was not held up is answered with `status`.
  private func ask(_ session: String, _ status: Int) throws -> (heldUp: String?, remaining: Int) {
    let fields = HTTPHeaders([("Host", "a"), ("Cookie", "leadpipe_session=\(session)")])
    let head = try RequestHead(HTTPRequestHead(version: .http1_1, method: .GET, uri: "/desk", headers: fields))
    let quota = try #require(limits.admit(head, of: Self.office, to: desk))
    guard quota.verdict.isAllowed else { return (quota.name, 0) }
    return (limits.learn(status, to: head.headers, of: Self.office)?.name, quota.verdict.remaining)
  }

  @Test func anExpiredSessionDoesNotLockOutTheOthersAtItsAddress() throws {
    for session in ["good", "old"] { #expect(try ask(session, 200).heldUp == nil) }
    // The old one has expired, and its page goes on asking.
    for _ in 0..<20 { _ = try ask("old", 401) }
    for session in ["old", "new"] { #expect(try ask(session, 200).heldUp == "refused-keys") }
    #expect(try ask("good", 200).heldUp == nil)
    // Refused itself, it is known no more.
    #expect(try ask("good", 401).heldUp == "refused-keys")
    #expect(try ask("good", 200).heldUp == "refused-keys")
  }

  /// Far more have logged in than are remembered.
  @Test func afterManyLoginsTheNextOneStillCountsForItself() throws {
    for login in 0..<3000 { _ = limits.learn(200, to: ["cookie": "leadpipe_session=\(login)"], of: Self.office) }
    // The first time it is its address's.
    for (session, remaining) in [("next", [99, 99, 98]), ("another", [98, 99, 98])] {
      for number in remaining { #expect(try ask(session, 200) == (nil, number)) }
    }
  }
}
