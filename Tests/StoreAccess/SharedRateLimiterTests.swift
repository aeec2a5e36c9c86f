import Contract
import Limits
import Store
import StoreAccess
import Testing
import Wire

/// The limiter of entry points without a gateway. What the database counts is tested in EndToEnd.
@Suite struct SharedRateLimiterTests {
  private func limiter(_ values: [String: String]) throws -> SharedRateLimiter? {
    let settings = try Settings(SharedRateLimits.settings + Database.settings, from: values)
    return SharedRateLimiter(settings, over: Database(settings))
  }

  @Test func existsUnlessRequestsAreCountedInMemory() throws {
    let url = ["DATABASE_URL": "postgresql://nobody@/none?host=/nonexistent"]
    #expect(try limiter(url) != nil)
    #expect(try limiter(url.merging(["RATE_LIMIT_STORE": "memory"]) { $1 }) == nil)
    #expect(try limiter(url.merging(["RATE_LIMIT_STORE": "postgres"]) { $1 }) != nil)
  }

  @Test func admitsNothingWithoutTheDatabase() throws {
    let limiter = try #require(
      try limiter([
        "DATABASE_URL": "postgresql://nobody@/none?host=/nonexistent", "RATE_LIMIT_STORE": "postgres",
        "RATE_LIMIT_EXPORT": "off",
      ]))
    let request = Request(method: "POST", path: "/a", requestID: "r", receivedAt: .now)
    func description(_ rateClass: String) -> Description {
      Description(
        name: "test", kind: .endpoint, summary: "a test", rateClass: rateClass, environment: [], input: .init([:]),
        output: .init([:]))
    }
    let error = #expect(throws: Problem.self) {
      _ = try limiter.admit(request, hasBody: true, from: nil, to: description("lead"), log: Log([:]))
    }
    #expect(error?.kind.status == 503 && error?.retryAfter == 2)
    #expect(try limiter.admit(request, hasBody: true, from: nil, to: description("export"), log: Log([:])) == nil)
  }
}
