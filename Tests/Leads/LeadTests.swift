import Leads
import Testing
import Wire

private let received = Instant(milliseconds: 1_795_381_200_000)

private func lead(_ body: JSON) throws -> Lead { try Lead(checking: body, receivedAt: received) }

private func body(_ more: JSON = [:]) -> JSON {
  (more.members ?? []).reduce(["customerName": "Test User", "customerPhone": "+971501234567"]) {
    $0.setting($1.key, $1.value)
  }
}

@Suite("A lead of the chatbot") struct LeadTests {
  @Test("tells all faults of a request at once, with their paths") func allFaults() {
    let wrong: JSON = [
      "customerName": "T", "customerEmail": "x", "leadScore": 101, "tags": ["a", 5], "conversationId": "5",
      "messages": [["id": "1", "messageText": "hello"], ["messageText": 7, "sender": "cat"]],
      "consent": ["marketing": "yes"],
    ]
    #expect {
      try lead(wrong)
    } throws: { error in
      (error as? Form.Faults)?.faults.map(\.path) == [
        "customerName", "customerPhone", "customerEmail", "conversationId", "leadScore", "tags[1]", "consent.marketing",
        "messages[1].id", "messages[1].sender", "messages[1].messageText",
      ]
    }
  }

  @Test(
    "refuses what is no object",
    arguments: [nil, true, 5, "text", []] as [JSON])
  func noObject(_ value: JSON) {
    #expect(throws: Form.Faults.self) { try lead(value) }
  }

  @Test(
    "refuses numbers that are no whole number from 0 to 100",
    arguments: ["-1", "101", "1.0", "1e1", "-0", "9223372036854775808", "10000000000000000999"])
  func scores(_ number: String) {
    #expect(throws: Form.Faults.self) { try lead(body(["leadScore": .number(number)])) }
  }

  @Test("nulls, blank texts and unknown fields count as absent") func absent() throws {
    let lead = try lead(
      body(["customerEmail": "", "budget": "  ", "notes": nil, "status": "converted", "created_at": "x"]))
    #expect(lead.customerEmail == nil && lead.budget == nil && lead.notes == nil)
    #expect(lead.facts["status"] == nil)
  }

  @Test("a message is the customer's unless it says otherwise, and came now unless it says when") func messages() throws
  {
    let lead = try lead(
      body([
        "messages": [
          ["id": "m1", "messageText": " hi "],
          ["id": "m2", "messageText": "b", "sender": "bot", "timestamp": "yesterday"],
          ["id": "m3", "messageText": "c", "sender": "user", "timestamp": "2026-11-22T20:30:00Z"],
        ]
      ]))
    #expect(lead.messages.map(\.sender) == ["customer", "bot", "customer"])
    #expect(lead.messages.map(\.time) == [received, received, received.adding(seconds: -1800)])
    #expect(lead.messages[0].text == "hi" && lead.durationMinutes == 30)
  }

  @Test("a clock that is ten years off counts as none") func clocks() throws {
    let lead = try lead(
      body([
        "messages": [
          ["id": "1", "messageText": "a", "timestamp": "1970-01-01T00:00:00Z"],
          ["id": "2", "messageText": "b", "timestamp": "9999-12-31T23:59:59Z"],
        ]
      ]))
    #expect(lead.messages.map(\.time) == [received, received] && lead.durationMinutes == 0)
  }

  @Test("a name that nobody can see is none", arguments: ["\u{200B}\u{200B}", "\u{3164}\u{3164}", "\u{2060} \u{FEFF}"])
  func invisible(_ name: String) {
    #expect(throws: Form.Faults(faults: [.init(path: "customerName", message: "is required")])) {
      try lead(body(["customerName": .string(name)]))
    }
  }

  @Test("consent is kept with its moment") func consent() throws {
    let lead = try lead(body(["consent": ["marketing": true], "metadata": ["utm": "x"]]))
    #expect(lead.metadata?["consent"] == ["marketing": true, "at": .string(received.iso8601)])
    #expect(lead.metadata?["utm"] == "x")
  }

  @Test("its facts never say nil, Optional or undefined") func facts() throws {
    for text in [try lead(body()).facts.text, try lead(body()).eventPayload.text] {
      #expect(!text.contains("nil") && !text.contains("Optional") && !text.contains("null"))
    }
  }

  @Test("the schema names every field, and what is required") func schema() {
    #expect(Lead.chatbotForm.schema["required"] == ["customerName", "customerPhone"])
    #expect(Lead.chatbotForm.schema["properties"]?.members?.count == 18)
  }
}

@Suite("The score") struct ScoreTests {
  @Test("what the client sends stands as sent, and is marked") func client() throws {
    let lead = try lead(body(["leadScore": 85, "leadScoreBreakdown": ["fit": 40, "source": "me"]]))
    #expect(lead.score.points == 85 && lead.score.quality == "hot")
    #expect(lead.score.breakdown == ["fit": 40, "source": "client"])
    #expect(try self.lead(["leadScore": 85, "leadQuality": "cold"]).score.quality == "cold")
  }

  @Test("counted here, its parts are named and add up", arguments: ["buy", "rent", "sell", "invest", "browse"])
  func server(_ intent: String) throws {
    let score = try lead(["intent": .string(intent), "budget": "AED 2.5M", "notes": "urgent"]).score
    let parts = (score.breakdown.members ?? []).filter { $0.key != "source" }.compactMap { $0.value.integer }
    #expect(parts.count == 5 && parts.reduce(0, +) == score.points && 0...100 ~= score.points)
    #expect(score.breakdown["source"] == "server")
  }

  @Test("a rent of 500,000 a year is a great budget, a price of 500,000 a small one") func scales() throws {
    #expect(try lead(["intent": "rent", "budget": "500,000"]).score.breakdown["budget"] == 30)
    #expect(try lead(["intent": "buy", "budget": "500,000"]).score.breakdown["budget"] == 10)
  }

  @Test(arguments: [(100, "hot"), (80, "hot"), (79, "warm"), (50, "warm"), (49, "cold"), (0, "cold")])
  func quality(_ points: Int, _ quality: String) { #expect(Score.quality(of: points) == quality) }

  @Test(
    "budgets as people write them",
    arguments: [
      ("AED 2.5M", 2_500_000), ("1,500,000 AED", 1_500_000), ("80k - 100k", 100_000), ("2 million", 2_000_000),
      ("80,000 / year", 80_000), ("500000", 500_000), ("1.2m-1.8m", 1_800_000), ("3 bn", 3e9),
    ])
  func budget(_ text: String, _ amount: Double) { #expect(Budget.amount(in: text) == amount) }

  @Test(arguments: ["", "flexible", "AED", "..,"])
  func noBudget(_ text: String) { #expect(Budget.amount(in: text) == nil) }

  @Test(
    "hot leads are answered in 15 minutes, warm in an hour, cold in a day",
    arguments: [("hot", 900), ("warm", 3600), ("cold", 86_400)])
  func deadline(_ quality: String, _ seconds: Int) {
    #expect(SLA.deadline(quality: quality, receivedAt: received) == received.adding(seconds: seconds))
  }

  private func lead(_ more: JSON) throws -> Lead { try Lead(checking: body(more), receivedAt: received) }
}
