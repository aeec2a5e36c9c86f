import Limits
import Testing

/// Which limits the database counts for a client.
@Suite struct SharedRateTests {
  private func rates(_ address: String?) -> [String] {
    guard let limit = RateLimit("10/60") else { return [] }
    return SharedRate.limits("lead", limit, of: address.flatMap { ClientAddress($0) }).map {
      "\($0.name) \($0.key) \($0.limit.count)/\($0.limit.seconds)"
    }
  }

  @Test func areThoseOfTheMemory() {
    #expect(rates("203.0.113.9") == ["lead 203.0.113.9 10/60"])
    #expect(rates("::ffff:203.0.113.9") == ["lead 203.0.113.9 10/60"])
    #expect(rates(nil) == ["lead unknown 10/60"])
    let network = ["lead 2001:db8:7:1::/64 10/60", "lead/48 2001:db8:7::/48 80/60"]
    #expect(rates("2001:db8:7:1::1") == network && rates("2001:DB8:7:1:ffff::2") == network)
  }

  @Test func testsOfSuspiciousKeysShareTheirNetwork() {
    let addresses = ["203.0.113.9", "2001:db8:7:1::1", "2001:db8:7:2::1"]
    let turns = addresses.map { SharedRate.turns(of: ClientAddress($0)).key }
    #expect(turns == ["203.0.113.9", "2001:db8:7::/48", "2001:db8:7::/48"])
    #expect(SharedRate.turns(of: nil).key == "unknown")
  }
}
