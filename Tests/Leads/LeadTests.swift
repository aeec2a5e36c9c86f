import Forms
import Leads
import Testing
import Wire

private let received = Instant(milliseconds: 1_795_381_200_000)

private func lead(_ body: JSON) throws -> Lead { try ChatbotForm().lead(checking: body, receivedAt: received) }

private func body(_ more: JSON = [:]) -> JSON {
  (more.members ?? []).reduce(["customerName": "Test User", "customerPhone": "+971501234567"]) {
    $0.setting($1.key, $1.value)
  }
}

@Suite("A lead of the chatbot") struct LeadTests {
  @Test("tells all errors of a request at once, with their paths") func allFaults() {
    let wrong: JSON = [
      "customerName": "T", "customerEmail": "x", "leadScore": 101, "tags": ["a", 5], "conversationId": "5",
      "messages": [["id": "1", "messageText": "hello"], ["messageText": 7, "sender": "cat"]],
      "consent": ["marketing": "yes"],
    ]
    #expect {
      try lead(wrong)
    } throws: { error in
      (error as? FormError)?.fields.map(\.path) == [
        "customerName", "customerPhone", "customerEmail", "conversationId", "leadScore", "tags[1]", "consent.marketing",
        "messages[1].id", "messages[1].sender", "messages[1].messageText",
      ]
    }
  }

  @Test(
    "refuses what is no object",
    arguments: [nil, true, 5, "text", []] as [JSON])
  func noObject(_ value: JSON) {
    #expect(throws: FormError.self) { try lead(value) }
  }

  @Test(
    "refuses numbers that are no whole number from 0 to 100",
    arguments: ["-1", "101", "1.0", "1e1", "-0", "9223372036854775808", "10000000000000000999"])
  func scores(_ number: String) {
    #expect(throws: FormError.self) { try lead(body(["leadScore": .number(number)])) }
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
    #expect(throws: FormError(fields: [.init(path: "customerName", message: "is required")])) {
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
    #expect(ChatbotForm().form.schema["required"] == ["customerName", "customerPhone"])
    #expect(ChatbotForm().form.schema["properties"]?.members?.count == 18)
  }
}
