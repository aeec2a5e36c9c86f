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

@Suite("Leads from the chatbot") struct LeadTests {
  @Test("reports all errors of a request at once, with their paths") func allErrors() {
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
    "rejects a body that is not an object",
    arguments: [nil, true, 5, "text", []] as [JSON])
  func noObject(_ value: JSON) {
    #expect(throws: FormError.self) { try lead(value) }
  }

  @Test(
    "sets aside a score that is not a whole number from 0 to 100",
    arguments: ["-1", "101", "1.0", "1e1", "-0", "9223372036854775808", "10000000000000000999"])
  func scores(_ number: String) throws {
    let lead = try lead(body(["leadScore": .number(number)]))
    #expect(lead.warnings.map(\.path) == ["leadScore"] && lead.score.breakdown["source"] == "server")
    #expect(lead.metadata == ["setAside": ["leadScore": .number(number)]])
  }

  @Test("an unusable email address beside a phone number is set aside, and what identifies the customer is strict")
  func unusable() throws {
    let kept = try lead(body(["customerEmail": "sara@", "metadata": ["utm": "x"]]))
    #expect(kept.customerEmail == nil && kept.metadata == ["utm": "x", "setAside": ["customerEmail": "sara@"]])
    for wrong: JSON in [
      ["customerName": "S"], ["customerPhone": "call me"], ["conversationId": "5"], ["idempotencyKey": "a b"],
      ["messages": [["id": "a\u{FFFD}", "messageText": "x"]]],
    ] {
      #expect(throws: FormError.self) { try lead(body(wrong)) }
    }
  }

  @Test("messages with ids that are numbers are stored; without an id or with one that repeats they are set aside")
  func messageIDs() throws {
    let lead = try lead(
      body([
        "messages": [
          ["id": 1, "messageText": "a"], ["messageText": "b"], ["id": "1", "messageText": "c"],
          ["id": "1", "messageText": "a"],
        ]
      ]))
    #expect(lead.messages.map(\.id) == ["1"] && lead.messages.map(\.text) == ["a"])
    #expect(lead.warnings.map(\.code) == [.required, .repeatedID])
    #expect(lead.metadata == ["setAside": ["messages[1]": ["messageText": "b"], "messages.1": "c"]])
    #expect(lead.eventPayload["setAside"] == "messages[1]: {\"messageText\":\"b\"}\nmessages.1: c")
  }

  @Test("of more than 500 messages the last are stored") func manyMessages() throws {
    let messages = (1...600).map { n -> JSON in ["id": JSON(n), "messageText": "x"] }
    let lead = try lead(body(["messages": .array(messages)]))
    #expect(lead.messages.map(\.id) == (101...600).map(String.init) && lead.warnings.map(\.code) == [.listCut])
  }

  @Test("intent, quality and sender may be in upper case or have another name") func otherNames() throws {
    let lead = try lead(
      body([
        "intent": "Renting", "leadQuality": "HOT", "leadScore": 90,
        "messages": [
          ["id": "1", "messageText": "a", "sender": "Assistant"], ["id": "2", "messageText": "b", "sender": "USER"],
        ],
      ]))
    #expect(lead.intent == "rent" && lead.score.quality == "hot" && lead.warnings.isEmpty)
    #expect(lead.messages.map(\.sender) == ["bot", "customer"])
  }

  @Test("of several phone numbers the first is used, and the text is set aside") func severalPhones() throws {
    let text: JSON = "050 123 4567 / 055 765 4321"
    let lead = try lead(body(["customerPhone": text]))
    #expect(lead.customerPhone?.e164 == "+971501234567" && lead.warnings.map(\.code) == [.severalPhones])
    #expect(lead.metadata == ["setAside": ["customerPhone": text]])
  }

  @Test("numbers with exponents count as long as they are stored") func exponents() throws {
    let numbers = JSON.array(Array(repeating: .number("1e99"), count: 200))
    let lead = try lead(body(["metadata": ["a": numbers]]))
    #expect(lead.warnings.map(\.code) == [.tooLarge] && lead.metadata?["setAside"]?["metadata"]?.string != nil)
    #expect(JSON.number("-1.5E-20").storedSize == 28 && JSON.number("12").storedSize == 2)
  }

  @Test("a phone number may be a JSON number") func numericPhone() throws {
    #expect(try lead(body(["customerPhone": 501_234_567])).customerPhone?.e164 == "+971501234567")
  }

  @Test("an extension is kept beside the phone number") func extensions() throws {
    let lead = try lead(body(["customerPhone": "04 123 4567 ext 12"]))
    #expect(lead.customerPhone?.e164 == "+97141234567" && lead.metadata == ["customerPhoneExtension": "12"])
    #expect(lead.eventPayload["customerPhoneExtension"] == "12")
  }

  @Test("treats nulls and blank strings as absent, and ignores unknown fields") func absent() throws {
    let lead = try lead(
      body(["customerEmail": "", "budget": "  ", "notes": nil, "status": "converted", "created_at": "x"]))
    #expect(lead.customerEmail == nil && lead.budget == nil && lead.notes == nil)
    #expect(lead.facts["status"] == nil)
  }

  @Test("the sender of a message defaults to the customer, and its time to the time of receipt")
  func messages() throws {
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

  @Test("ignores a timestamp that is ten years off") func clocks() throws {
    let lead = try lead(
      body([
        "messages": [
          ["id": "1", "messageText": "a", "timestamp": "1970-01-01T00:00:00Z"],
          ["id": "2", "messageText": "b", "timestamp": "9999-12-31T23:59:59Z"],
        ]
      ]))
    #expect(lead.messages.map(\.time) == [received, received] && lead.durationMinutes == 0)
  }

  @Test("rejects an invisible name", arguments: ["\u{200B}\u{200B}", "\u{3164}\u{3164}", "\u{2060} \u{FEFF}"])
  func invisible(_ name: String) {
    #expect(throws: FormError(fields: [.init(.required, at: "customerName")])) {
      try lead(body(["customerName": .string(name)]))
    }
  }

  @Test("stores consent with its time") func consent() throws {
    let lead = try lead(body(["consent": ["marketing": true], "metadata": ["utm": "x"]]))
    #expect(lead.metadata?["consent"] == ["marketing": true, "at": .string(received.iso8601)])
    #expect(lead.metadata?["utm"] == "x")
  }

  @Test("facts and payload never contain nil, Optional or null") func facts() throws {
    for text in [try lead(body()).facts.text, try lead(body()).eventPayload.text] {
      #expect(!text.contains("nil") && !text.contains("Optional") && !text.contains("null"))
    }
  }

  @Test("the schema lists all fields and the required ones") func schema() {
    #expect(ChatbotForm().form.schema["required"] == ["customerName", "customerPhone"])
    #expect(ChatbotForm().form.schema["properties"]?.members?.count == 18)
  }
}
