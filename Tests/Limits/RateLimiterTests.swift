import Testing

@testable import Limits

@Suite("Rate limits") struct RateLimiterTests {
  private let ten = RateClass.lead.standard

  @Test(
    "accepts a limit of two plain numbers",
    arguments: [
      "10/60", "1/1", "1000/3600",
    ])
  func limits(_ text: String) { #expect(RateLimit(text) != nil) }

  @Test(
    "rejects any other limit",
    arguments: [
      "", "10", "10/", "/60", "10/60/1", "+10/60", "10/+60", "-1/60", "010/60", "10/060", " 10/60", "10/60 ", "10 /60",
      "0/60", "10/0", "1001/60", "10/3601", "1e1/60", "0x1/60", "٣/60", "10／60", "10/60\n", "10.0/60",
      "99999999999999999999/60", "off",
    ])
  func invalidLimits(_ text: String) { #expect(RateLimit(text) == nil) }

  @Test func everyClassHasItsOwnSettingAndStandard() {
    #expect(RateClass.allCases.map(\.settingName).sorted().first == "RATE_LIMIT_ADMIN")
    #expect(RateClass.lead.limit(nil) == ten && RateClass.lead.limit("off") == nil)
    #expect(RateClass.export.limit("3/2") == RateLimit("3/2"))
    #expect(RateClass.validate("off") == nil && RateClass.validate("10") != nil)
    #expect(RateClass.validateStore("memory") == nil)
    #expect(RateClass.validateStore("postgres") == nil)
    #expect(RateClass.validateStore("redis") == "must be memory or postgres")
  }

  @Test("admits the eleventh request once the first no longer counts") func eleventh() {
    var limiter = RateLimiter<Int>(ten)
    for index in 0..<10 {
      let verdict = limiter.admit(1, at: index * 1000)
      #expect(verdict.isAllowed && verdict.remaining == 9 - index)
      #expect(verdict.resetsIn == 60_000 - index * 1000)
    }
    for _ in 0..<5 {
      let verdict = limiter.admit(1, at: 10_001)
      #expect(!verdict.isAllowed && verdict.remaining == 0 && verdict.resetsInSeconds == 50)
    }
    let other = limiter.admit(2, at: 10_001)
    let early = limiter.admit(1, at: 59_999)
    let late = limiter.admit(1, at: 60_000)
    #expect(other.isAllowed && !early.isAllowed && late.isAllowed && late.resetsIn == 1000)
  }

  @Test func judgingARequestDoesNotCountIt() {
    var limiter = RateLimiter<Int>(RateLimit("1/1")!)
    for _ in 0..<3 { #expect(limiter.judge(1, at: 0).isAllowed) }
    #expect(limiter.admit(1, at: 0).isAllowed)
    #expect(!limiter.judge(1, at: 0).isAllowed && limiter.judge(1, at: 1000).isAllowed)
  }

  @Test("a clock that goes back admits nothing early, and the reported wait is sufficient") func backwards() {
    var limiter = RateLimiter<Int>(RateLimit("2/60")!)
    _ = limiter.admit(1, at: 100_000)
    _ = limiter.admit(1, at: 100_000)
    let verdict = limiter.admit(1, at: 0)
    #expect(!verdict.isAllowed && verdict.resetsIn == 160_000)
    let before = limiter.admit(1, at: 159_999)
    let after = limiter.admit(1, at: 160_000)
    #expect(!before.isAllowed && after.isAllowed)
  }

  @Test(
    "agrees with a list of all admissions at random times, and never admits more if its table is too small",
    arguments: 0..<40)
  func agreesWithAList(seed: Int) {
    var random = Seeded(seed)
    let limit = RateLimit(count: .random(in: 1...7, using: &random), seconds: .random(in: 1...4, using: &random))!
    let isSmall = seed % 2 == 1
    var limiter = RateLimiter<Int>(limit, capacity: isSmall ? 3 : 100)
    var admitted: [Int: [Int]] = [:]
    var now = 0
    for _ in 0..<3000 {
      now += [0, 0, 1, 13, 250, 999, 4001].randomElement(using: &random)!
      let key = Int.random(in: 0..<12, using: &random)
      let counting = admitted[key, default: []].filter { now - $0 < limit.seconds * 1000 }
      let verdict = limiter.admit(key, at: now)
      // With a full table, new keys may be admitted less often than otherwise, but never more often.
      #expect(
        isSmall
          ? !verdict.isAllowed || counting.count < limit.count : verdict.isAllowed == (counting.count < limit.count))
      if verdict.isAllowed { admitted[key, default: []].append(now) }
      if !isSmall { #expect(verdict.remaining == limit.count - counting.count - (verdict.isAllowed ? 1 : 0)) }
      if !verdict.isAllowed {
        var later = limiter
        let wait = verdict.resetsInSeconds * 1000
        #expect(1...limit.seconds ~= verdict.resetsInSeconds)
        let retried = later.admit(key, at: now + wait)
        #expect(retried.isAllowed)
      }
      #expect(limiter.count <= limiter.capacity)
    }
  }

  @Test("what is given back can be used again, and two halves count as one admission") func giveBack() {
    var limiter = RateLimiter<Int>(RateLimit("2/60")!)
    for time in 0..<5 {
      let verdict = limiter.admit(1, at: time)
      #expect(verdict.isAllowed && verdict.remaining == 1)
      limiter.giveBack(1, countedAt: verdict.countedAt, half: false)
    }
    for (time, remaining) in [(10, 2), (20, 1), (30, 1), (40, 0)] {
      let verdict = limiter.admit(1, at: time)
      #expect(verdict.isAllowed)
      limiter.giveBack(1, countedAt: verdict.countedAt, half: true)
      #expect(limiter.judge(1, at: time).remaining == remaining)
    }
    let refused = limiter.admit(1, at: 50)
    #expect(!refused.isAllowed && refused.resetsIn == 59_970)
    // An admission that has expired, or was given back before, changes nothing.
    limiter.giveBack(1, countedAt: 10, half: false)
    #expect(!limiter.judge(1, at: 50).isAllowed && limiter.judge(1, at: 60_020).remaining == 1)
  }

  @Test("keys whose admissions were given back leave the table") func emptyEntries() {
    var limiter = RateLimiter<Int>(RateLimit("2/60")!, capacity: 4)
    for key in 0..<100 {
      let verdict = limiter.admit(key, at: key)
      #expect(verdict.isAllowed)
      limiter.giveBack(key, countedAt: verdict.countedAt, half: false)
    }
    #expect(limiter.count <= 2)
  }

  @Test(
    "never admits more in a period than the limit, whatever is given back", arguments: 0..<20)
  func giveBackAtRandom(seed: Int) {
    var random = Seeded(seed)
    let limit = RateLimit(count: .random(in: 1...5, using: &random), seconds: 2)!
    var limiter = RateLimiter<Int>(limit, capacity: seed % 2 == 0 ? 2 : 100)
    // The admissions by key: whole ones, and halves.
    var whole: [Int: [Int]] = [:]
    var halves: [Int: [Int]] = [:]
    var now = 0
    for _ in 0..<2000 {
      now += [0, 1, 13, 250, 999].randomElement(using: &random)!
      let key = Int.random(in: 0..<6, using: &random)
      let verdict = limiter.admit(key, at: now)
      guard verdict.isAllowed else { continue }
      let recent = { (times: [Int]?) in (times ?? []).count { now - $0 < 2000 } }
      #expect(recent(whole[key]) + recent(halves[key]) / 2 < limit.count)
      switch Int.random(in: 0..<3, using: &random) {
      case 0: limiter.giveBack(key, countedAt: verdict.countedAt, half: false)
      case 1:
        limiter.giveBack(key, countedAt: verdict.countedAt, half: true)
        halves[key, default: []].append(now)
      default: whole[key, default: []].append(now)
      }
      #expect(recent(whole[key]) <= limit.count)
    }
  }

  @Test("a million keys stay within the capacity, and keys from before are remembered") func aMillionKeys() {
    var limiter = RateLimiter<Int>(ten)
    for _ in 0..<10 { _ = limiter.admit(-1, at: 0) }
    var admitted = 0
    for key in 0..<1_000_000 where limiter.admit(key, at: 1 + key / 20_000).isAllowed { admitted += 1 }
    #expect(limiter.count == 65_536 && limiter.capacity == 65_536)
    #expect(admitted == 65_535 + 10)
    let hot = limiter.admit(-1, at: 59_999)
    let known = limiter.admit(5, at: 59_999)
    let newcomer = limiter.admit(2_000_000, at: 59_999)
    #expect(!hot.isAllowed && known.isAllowed && !newcomer.isAllowed)
    // When their time is over, there is room again.
    let later = limiter.admit(2_000_000, at: 61_000)
    #expect(later.isAllowed && limiter.count < 65_536)
  }

  @Test("a limit with more requests has a smaller capacity, to bound the memory") func memory() {
    for limit in ["1/1", "60/60", "120/60", "1000/60"].map({ RateLimit($0)! }) {
      let limiter = RateLimiter<Int>(limit)
      #expect(limiter.capacity * limit.count <= 4_194_304 && limiter.capacity >= 4000)
    }
  }

  @Test("new keys share one entry while the table is full, and take its history into the table") func overflow() {
    var limiter = RateLimiter<Int>(RateLimit("3/60")!, capacity: 1)
    _ = limiter.admit(0, at: 0)
    let shared = (1...4).map { limiter.admit($0, at: 50_000).isAllowed }
    #expect(shared == [true, true, true, false])
    // There is room now, but any of the keys may have used all three admissions.
    let own = limiter.admit(1, at: 70_000)
    let later = limiter.admit(1, at: 110_000)
    #expect(!own.isAllowed && later.isAllowed)
  }
}

@Suite("Rate limits per client") struct ClientLimiterTests {
  private func key(_ text: String) -> RateKey { RateKey(ClientAddress(text)) }

  @Test("all addresses of a /64 network count as one client") func oneNetwork() {
    var limiter = ClientLimiter(RateLimit("10/60")!)
    var admitted = 0
    for host in 0..<65_536
    where limiter.admit(RateKey(.v6(0x2001_0DB8_0000_0001, UInt64(host))), at: host / 100).isAllowed {
      admitted += 1
    }
    #expect(admitted == 10 && limiter.count == 2)
    #expect(limiter.admit(key("2001:db8:0:2::1"), at: 700).isAllowed)
  }

  @Test("a /48 network has eight times the limit") func site() {
    var limiter = ClientLimiter(RateLimit("10/60")!)
    var admitted = 0
    for network in 0..<65_536
    where limiter.admit(RateKey(.v6(0x2001_0DB8_0000_0000 | UInt64(network), 1)), at: 0).isAllowed {
      admitted += 1
    }
    #expect(admitted == 80)
    let refused = limiter.admit(key("2001:db8:0:ffff::9"), at: 1)
    #expect(!refused.isAllowed && refused.limit == RateLimit("80/60") && refused.resetsInSeconds == 60)
    #expect(limiter.admit(key("2001:db8:1::1"), at: 1).isAllowed)
  }

  @Test("the tighter of both limits decides") func tighter() {
    var limiter = ClientLimiter(RateLimit("2/60")!)
    for network in 0..<7 { _ = limiter.admit(key("2001:db8:0:\(network)::1"), at: 0) }
    _ = limiter.admit(key("2001:db8:0:0::1"), at: 0)
    for network in 7..<14 { _ = limiter.admit(key("2001:db8:0:\(network)::1"), at: 0) }
    let last = limiter.admit(key("2001:db8:0:100::1"), at: 0)
    #expect(last.isAllowed && last.remaining == 0 && last.limit.count == 16)
    // A request that one limit refuses is not counted by the other.
    #expect(!limiter.admit(key("2001:db8:0:101::1"), at: 0).isAllowed)
    #expect(limiter.judge(key("2001:db8:0:101::1"), at: 60_000).remaining == 2)
  }

  @Test("counts one client however its address is written") func notations() {
    var limiter = ClientLimiter(RateLimit("4/60")!)
    let admitted = ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"]
      .map { limiter.admit(key($0), at: 0).isAllowed }
    #expect(admitted == [true, true, true, true, false])
    let unknown = (0..<5).map { _ in limiter.admit(RateKey(nil), at: 0).isAllowed }
    #expect(unknown == [true, true, true, true, false])
    #expect(RateKey(name: "é") != RateKey(name: "e\u{301}"))
  }
}

/// SplitMix64: the same numbers for the same seed.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: Int) { state = UInt64(seed) }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
