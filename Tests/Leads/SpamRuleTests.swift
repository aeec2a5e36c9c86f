import Leads
import Testing
import Wire

private let secret = "0123456789abcdef0123456789abcdef"
private let tokens = FormTokens(secret: secret)
private let now = Instant(milliseconds: 1_764_000_000_000)

private func judge(
  _ body: JSON, bits: Int = 0, requires: Bool = false, isOperators: Bool = false, at time: Instant = now
) -> SpamRule.Verdict {
  SpamRule(tokens: tokens, workBits: bits, requiresToken: requires)
    .judge(GuardFields(body), at: time, isOperators: isOperators)
}

private func sent(secondsAgo seconds: Int, bits: Int = 0, work: String? = nil) -> JSON {
  ["formToken": .string(tokens.issue(at: now.adding(seconds: -seconds), bits: bits)), "formWork": JSON(work)]
}

@Suite("Form tokens") struct FormTokenTests {
  @Test("tell when they were issued, and the work that they ask for") func content() {
    let token = tokens.issue(at: now, bits: 12)
    #expect(tokens.read(token) == FormTokens.Content(issuedAt: now, bits: 12))
    #expect(token.utf8.count <= 200)
  }

  @Test("are not accepted with any change, or another secret") func forged() {
    let token = tokens.issue(at: now, bits: 0)
    for index in token.utf8.indices {
      var bytes = Array(token.utf8)
      let place = token.utf8.distance(from: token.utf8.startIndex, to: index)
      bytes[place] = bytes[place] == 0x31 ? 0x32 : 0x31
      #expect(tokens.read(String(decoding: bytes, as: UTF8.self)) == nil)
    }
    #expect(FormTokens(secret: "f" + secret.dropFirst()).read(token) == nil)
    for wrong in ["", "1", "1....", token + "0", String(token.dropLast()), token.uppercased(), "é" + token] {
      #expect(tokens.read(wrong) == nil)
    }
  }

  @Test("of an old secret are accepted while it is listed") func rotated() {
    let token = tokens.issue(at: now, bits: 0)
    #expect(FormTokens(secret: "abcdefghijklmnopqrstuvwxyz012345", old: [secret]).read(token) != nil)
  }

  @Test("HMAC-SHA-256 is that of RFC 4231, test cases 2 and 6") func codes() {
    #expect(
      hexadecimal(HMAC.sha256(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(
      hexadecimal(
        HMAC.sha256(
          Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
          key: [UInt8](repeating: 0xAA, count: 131)))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
  }
}

@Suite("The rule against robots") struct SpamRuleTests {
  @Test("takes a filled trap, in any form, for a sign") func trap() {
    for value: JSON in ["https://x", 1, true, ["a"]] { #expect(judge(["website2": value]).signs == [.honeypot]) }
    for value: JSON in ["", " \n", .null] { #expect(judge(["website2": value]).signs.isEmpty) }
    #expect(SpamRule(tokens: nil).judge(GuardFields(["website2": "x"]), at: now).signs == [.honeypot])
  }

  @Test("judges the age of a token") func age() {
    #expect(judge(sent(secondsAgo: 0)).signs == [.tooFast])
    #expect(judge(sent(secondsAgo: 1)).signs == [.tooFast])
    #expect(judge(sent(secondsAgo: 2)) == .init(signs: [], isProven: true))
    #expect(judge(sent(secondsAgo: 86_400)) == .init(signs: [], isProven: true))
    #expect(judge(sent(secondsAgo: 86_401)) == .init(signs: [], isProven: false))
    // A clock that is ahead.
    #expect(judge(sent(secondsAgo: -60)) == .init(signs: [], isProven: false))
  }

  @Test("takes a token that was not made here for a sign, of any type") func forged() {
    for token: JSON in ["x", 5, ["a": 1]] { #expect(judge(["formToken": token]).signs == [.forgedToken]) }
    #expect(judge(["formToken": ""]).signs.isEmpty)
    #expect(SpamRule(tokens: nil).judge(GuardFields(["formToken": "x"]), at: now) == .init())
  }

  @Test("misses a token only where the operator requires one, and never in what he pipes in") func missing() {
    #expect(judge([:]) == .init())
    #expect(judge([:], requires: true).signs == [.missingToken])
    #expect(judge([:], requires: true, isOperators: true) == .init())
  }

  @Test("asks for the work that the token asks for") func work() throws {
    let token = tokens.issue(at: now.adding(seconds: -10), bits: 8)
    let work = try #require(FormWork.find(token: token, bits: 8))
    #expect(judge(["formToken": .string(token), "formWork": .string(work)], bits: 8).isProven)
    #expect(judge(["formToken": .string(token), "formWork": JSON(Int(work) ?? 0)], bits: 8).isProven)
    #expect(judge(["formToken": .string(token)], bits: 8).signs == [.missingWork])
    #expect(judge(["formToken": .string(token), "formWork": "x"], bits: 8).signs == [.missingWork])
    // A tab that was open when the operator began to ask.
    #expect(judge(sent(secondsAgo: 10), bits: 8).isProven)
    // An expired token is no way around the work.
    #expect(judge(sent(secondsAgo: 90_000), bits: 8).signs == [.missingWork])
    #expect(FormWork.isDone(nil, token: token, bits: 0))
  }
}
