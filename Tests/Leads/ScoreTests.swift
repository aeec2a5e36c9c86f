import Forms
import Leads
import Testing
import Wire

private func score(_ more: JSON = [:]) throws -> Score {
  let body = (more.members ?? []).reduce(["customerName": "Test", "customerPhone": "+971501234567"] as JSON) {
    $0.setting($1.key, $1.value)
  }
  return try ChatbotForm().lead(checking: body, receivedAt: Instant(milliseconds: 1_795_381_200_000)).score
}

@Suite("Lead scores") struct ScoreTests {
  @Test("a score or rating from the client is kept and marked") func client() throws {
    let sent = try score(["leadScore": 85, "leadScoreBreakdown": ["fit": 40, "source": "me"]])
    #expect(sent.points == 85 && sent.quality == "hot")
    #expect(sent.breakdown == ["fit": 40, "source": "client"])
    #expect(try score(["leadScore": 85, "leadQuality": "cold"]).quality == "cold")
    let quality = try score(["leadQuality": "hot", "leadScoreBreakdown": ["mine": 5]])
    #expect(quality.quality == "hot" && quality.points < 80)
    #expect(quality.breakdown["source"] == "server" && quality.breakdown["quality"] == "client")
  }

  @Test("the parts of a score from the server add up", arguments: ["buy", "rent", "sell", "invest", "browse"])
  func server(_ intent: String) throws {
    let counted = try score(["intent": .string(intent), "budget": "AED 2.5M", "notes": "urgent"])
    let parts = (counted.breakdown.members ?? []).filter { !["source", "counted"].contains($0.key) }
    #expect(parts.map(\.key) == ["budget", "intent", "urgency", "contact", "engagement"])
    #expect(parts.compactMap { $0.value.integer }.reduce(0, +) == counted.points && 0...100 ~= counted.points)
    #expect(counted.breakdown["source"] == "server")
  }

  @Test("the best lead has 100 points") func best() throws {
    let messages = (0..<10).map { ["id": .string("\($0)"), "messageText": "I need it today"] as JSON }
    let best = try score([
      "customerName": "Sara Ahmed", "customerEmail": "sara@example.com", "intent": "invest", "budget": "20M",
      "messages": .array(messages),
    ])
    #expect(best.points == 100)
  }

  @Test(
    "sale, yearly rent and investment each have their own scale for the budget",
    arguments: [
      ("buy", "499,999", 5), ("buy", "500,000", 10), ("buy", "1M", 15), ("buy", "2M", 20), ("buy", "5M", 25),
      ("buy", "10M", 30), ("browse", "2M", 20), ("sell", "2M", 20),
      ("rent", "79,999", 5), ("rent", "80,000", 12), ("rent", "150k", 20), ("rent", "250k", 25), ("rent", "500k", 30),
      ("rent", "80,000 / 12 months", 12), ("rent", "80,000 yearly, move in next month", 12),
      ("rent", "12,500 pcm", 20), ("rent", "12,500/mo", 20), ("rent", "12,500 p.m.", 20), ("rent", "3,000 weekly", 20),
      ("buy", "5 000 000 AED", 25), ("buy", "5\u{A0}000\u{202F}000 AED", 25), ("buy", "5MAED", 25),
      ("buy", "50 lacs", 25), ("buy", "5MM", 25), ("buy", "call me on 0501234567", 0),
      ("rent", "12,500 per month", 20), ("rent", "١٢٬٥٠٠ شهريا", 20), ("buy", "12,500 per month", 5),
      ("invest", "999,999", 5), ("invest", "1M", 10), ("invest", "2M", 16), ("invest", "5M", 22), ("invest", "10M", 26),
      ("invest", "20M", 30), ("buy", "flexible", 0), ("buy", "0", 0),
    ])
  func scales(_ intent: String, _ budget: String, _ points: Int) throws {
    #expect(try score(["intent": .string(intent), "budget": .string(budget)]).breakdown["budget"] == JSON(points))
  }

  @Test(
    "rates words of urgency, except in the bot's messages",
    arguments: [
      ("I need it urgently", 15), ("⚠️Urgent please", 15), ("❗️asap", 15), ("ASAP please", 15), ("today", 15),
      ("الموضوع عاجل", 15), ("some time next month", 8),
      ("no rush", 0), ("not urgent at all", 0), ("a villa", 0),
      ("near the Monsoon tower", 0), ("not so urgent", 0), ("nothing urgent.", 0), ("URGENT!", 15), ("Soon?", 8),
      ("الموضوع غير عاجل", 0), ("ليس عاجل", 0), ("أبحث عن الإيجار اليومي", 0), ("الميزانية ٢ مليون تقريبا", 0),
      ("قريبا من المترو", 0), ("not immediately", 0),
    ])
  func urgency(_ words: String, _ points: Int) throws {
    #expect(try score(["notes": .string(words)]).breakdown["urgency"] == JSON(points))
    let customer = try score(["messages": [["id": "1", "messageText": .string(words)]]])
    #expect(customer.breakdown["urgency"] == JSON(points))
    let bot = try score(["messages": [["id": "1", "sender": "bot", "messageText": .string(words)]]])
    #expect(bot.breakdown["urgency"] == 0)
  }

  @Test("keeps the words that counted") func counted() throws {
    let body: JSON = ["intent": "rent", "budget": "My budget: 12,500 pcm!", "notes": "Please call. It is not urgent."]
    #expect(try score(body).breakdown["counted"] == ["budget": "12,500 pcm", "urgency": "not urgent"])
    #expect(try score(["notes": "ASAP, please"]).breakdown["counted"] == ["urgency": "ASAP"])
    #expect(try score(["budget": "flexible"]).breakdown["counted"] == nil)
    #expect(try score(["budget": "2M", "leadScore": 5]).breakdown["counted"] == nil)
  }

  @Test(
    "a budget may be a number",
    arguments: [("2000000", "2000000", 20), ("1500000.0", "1500000", 15), ("3e6", "3000000", 20), ("0.5", "0.5", 5)])
  func numbers(_ sent: String, _ stored: String, _ points: Int) throws {
    let body: JSON = [
      "customerName": "Sara Ahmed", "customerPhone": "0501234567", "intent": "buy", "budget": .number(sent),
    ]
    let lead = try ChatbotForm().lead(checking: body, receivedAt: Instant(milliseconds: 1_795_381_200_000))
    #expect(lead.budget == stored && lead.warnings.isEmpty)
    #expect(lead.score.breakdown["budget"] == JSON(points))
    let aside = try ChatbotForm().lead(
      checking: body.setting("budget", -5), receivedAt: Instant(milliseconds: 1_795_381_200_000))
    #expect(aside.budget == nil && aside.warnings.map(\.path) == ["budget"])
  }

  @Test(arguments: [(0, 0), (1, 2), (2, 4), (4, 4), (5, 7), (9, 7), (10, 10)])
  func engagement(_ count: Int, _ points: Int) throws {
    let messages = (0..<count).map { ["id": .string("\($0)"), "messageText": "hi"] as JSON }
    #expect(try score(["messages": .array(messages)]).breakdown["engagement"] == JSON(points))
  }

  @Test(arguments: [(100, "hot"), (80, "hot"), (79, "warm"), (50, "warm"), (49, "cold"), (0, "cold")])
  func quality(_ points: Int, _ quality: String) { #expect(Score.quality(of: points) == quality) }
}
