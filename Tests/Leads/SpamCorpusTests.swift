import Leads
import Testing
import Wire

/// Submissions as people and robots send them, made from a seed. The end-to-end test has the same kinds.
private struct Traffic {
  private var state: UInt64
  let tokens = FormTokens(secret: "0123456789abcdef0123456789abcdef")

  init(seed: UInt64) { state = seed }

  mutating func next(_ range: ClosedRange<Int>) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return range.lowerBound + Int((state >> 33) % UInt64(range.count))
  }

  private mutating func token(at now: Instant, secondsAgo: Int, bits: Int) -> (String, String?) {
    let token = tokens.issue(at: now.adding(seconds: -secondsAgo), bits: bits)
    return (token, bits == 0 ? nil : FormWork.find(token: token, bits: bits))
  }

  /// A person: types for seconds to hours, may leave the tab open for days, may have no script, an old page, a browser
  /// that fills in what it sees, or a server whose clock is a little ahead or behind.
  mutating func person(at now: Instant) -> JSON {
    switch next(0...99) {
    case 0..<70: return body(token(at: now, secondsAgo: next(3...1800), bits: 0))
    case 70..<80: return body(token(at: now, secondsAgo: next(1801...86_400), bits: 0))
    case 80..<84: return body(token(at: now, secondsAgo: next(86_401...500_000), bits: 0))
    case 84..<88: return body(token(at: now, secondsAgo: -next(1...30), bits: 0))
    case 88..<92: return body(token(at: now, secondsAgo: next(3...300), bits: 4))
    case 92..<96: return [:]
    default: return ["website2": "", "formToken": ""]
    }
  }

  /// A robot: fills in every field, makes up or copies tokens, sends at once, or posts only what it needs, which nothing
  /// here can tell from an old page.
  mutating func robot(at now: Instant) -> JSON {
    switch next(0...99) {
    case 0..<45: return ["website2": "https://casino.example", "formToken": "x"]
    case 45..<60:
      return body(("1.\(now.milliseconds).0.\(UUIDText.random().text).\(String(repeating: "0", count: 64))", nil))
    case 60..<80: return body(token(at: now, secondsAgo: next(0...1), bits: 0))
    case 80..<90: return ["website2": "buy", "formToken": .string(tokens.issue(at: now.adding(seconds: -60), bits: 0))]
    default: return [:]
    }
  }

  private func body(_ token: (String, String?)) -> JSON {
    ["website2": "", "formToken": .string(token.0), "formWork": JSON(token.1)]
  }
}

@Suite("Generated traffic") struct SpamCorpusTests {
  private let now = Instant(milliseconds: 1_764_000_000_000)

  @Test("of 10,000 people, none is caught", arguments: [1, 2, 3] as [UInt64]) func people(_ seed: UInt64) {
    var traffic = Traffic(seed: seed)
    let rule = SpamRule(tokens: traffic.tokens)
    var caught = 0
    for _ in 0..<10_000 where !rule.judge(GuardFields(traffic.person(at: now)), at: now).signs.isEmpty { caught += 1 }
    #expect(caught == 0)
  }

  @Test(
    "of 10,000 robots, nine in ten are caught, and all where a token is required", arguments: [1, 2, 3] as [UInt64])
  func robots(_ seed: UInt64) {
    var traffic = Traffic(seed: seed)
    let rule = SpamRule(tokens: traffic.tokens)
    let strict = SpamRule(tokens: traffic.tokens, requiresToken: true)
    var (caught, caughtStrictly) = (0, 0)
    for _ in 0..<10_000 {
      let sent = GuardFields(traffic.robot(at: now))
      if !rule.judge(sent, at: now).signs.isEmpty { caught += 1 }
      if !strict.judge(sent, at: now).signs.isEmpty { caughtStrictly += 1 }
    }
    #expect(8_800...9_200 ~= caught)
    #expect(caughtStrictly == 10_000)
  }
}
