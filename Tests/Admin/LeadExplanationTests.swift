import Admin
import Leads
import Testing
import Wire

private let clock = LocalClock(zone: "Asia/Dubai") { _ in 4 * 3600 }
private let agency = try? OfficeHours("Mon-Fri 09:00-18:30, Sat 10:00-15:00") { _ in 4 * 3600 }

private func utc(_ text: String) -> JSON { JSON(Instant(iso8601: text)?.iso8601) }

/// A hot lead, received on Friday, 20 November 2026, 18:20 in Dubai. Its deadline was set without office hours.
private let lead: JSON = [
  "id": "22222222-2222-4222-8222-222222222222", "status": "new", "leadScore": 92, "leadQuality": "hot", "intent": "buy",
  "customerPhone": "+971501234567", "customerEmail": "sara@example.com", "slaState": "ok",
  "createdAt": utc("2026-11-20T18:20:00.040+04:00"), "slaResponseDeadline": utc("2026-11-20T18:35:00+04:00"),
  "leadScoreBreakdown": [
    "source": "server", "budget": 25, "intent": 22, "urgency": 15, "contact": 20, "engagement": 10,
  ],
]

private func explain(
  _ changes: JSON = [:], additions: [JSON] = [], deliveries: [JSON] = [], followUp: JSON = .null,
  hours: OfficeHours? = nil,
  now: String = "2026-11-20T18:25:00+04:00"
) -> LeadExplanation {
  let conversation = (changes.members ?? []).reduce(lead) { $0.setting($1.key, $1.value) }
  return LeadExplanation(
    [
      "now": utc(now), "conversation": conversation, "additions": .array(additions), "deliveries": .array(deliveries),
      "followUp": followUp,
    ], hours: hours, clock: clock, notAssigning: nil)
}

@Suite("Explanations of a lead's score and deadline") struct LeadExplanationTests {
  @Test("lists the parts of the score, each with its maximum") func score() {
    let parts = explain().document["score"]?["parts"]?.array ?? []
    #expect(parts.compactMap { $0["name"]?.string } == ["budget", "intent", "urgency", "contact", "engagement"])
    #expect(parts.compactMap { $0["of"]?.integer } == [30, 25, 15, 20, 10])
    #expect(
      parts.compactMap { $0["why"]?.string } == [
        "AED 5,000,000 or more on the scale for sales", "wants to buy", "the customer says that it is urgent",
        "phone number (10), email address (7), full name (3)", "at least ten messages from the customer",
      ])
    #expect(explain().sentences.first == "The server calculated 92 of 100 points.")
    #expect(explain().sentences.contains("budget: 25 of 30, AED 5,000,000 or more on the scale for sales."))
    #expect(
      explain().sentences.contains("A lead is hot from 80 points, warm from 50, and otherwise cold: this one is hot."))
  }

  @Test("the maximums of all parts add up to 100") func maximum() { #expect(Score.parts.map(\.1).reduce(0, +) == 100) }

  @Test(
    "explains every number of points",
    arguments: [
      ("budget", 0, "rent", "no amount was given"),
      ("budget", 12, "rent", "AED 80,000 or more on the scale for yearly rent"),
      ("budget", 5, "invest", "less than AED 1,000,000 on the scale for investments"),
      ("budget", 22, "buy", "the budget on the scale of an earlier intent"),
      ("intent", 25, "", "wants to invest"), ("intent", 5, "", "is looking around"),
      ("intent", 0, "", "no intent was given"),
      ("urgency", 8, "", "the customer says that it is soon"),
      ("urgency", 0, "", "no sign of urgency, or a sign that it is not urgent"),
      ("contact", 10, "", "phone number (10)"), ("contact", 13, "", "phone number (10), full name (3)"),
      ("contact", 0, "", "no contact details"), ("contact", 1, "", "the contact details at the time"),
      ("engagement", 2, "", "one message from the customer"), ("engagement", 0, "", "no messages from the customer"),
    ])
  func reasons(_ name: String, _ points: Int, _ intent: String, _ why: String) {
    let told = explain([
      "intent": .string(intent), "leadScoreBreakdown": .object([.init("source", "server"), .init(name, JSON(points))]),
    ])
    #expect(told.document["score"]?["parts"]?.array?.first?["why"]?.string == why)
  }

  @Test("quotes the words that counted") func quotes() {
    let told = explain([
      "intent": "rent",
      "leadScoreBreakdown": [
        "source": "server", "budget": 20, "urgency": 0, "counted": ["budget": "12,500 pcm", "urgency": "not\nurgent"],
      ],
    ])
    #expect(
      told.document["score"]?["parts"]?.array?.compactMap { $0["why"]?.string } == [
        "AED 150,000 or more on the scale for yearly rent (“12,500 pcm”)",
        "no sign of urgency, or a sign that it is not urgent (“not urgent”)",
      ])
  }

  @Test("explains ten points for contact without a phone number") func noPhoneNumber() {
    let told = explain(["customerPhone": nil, "leadScoreBreakdown": ["source": "server", "contact": 10]])
    #expect(told.document["score"]?["parts"]?.array?.first?["why"] == "email address (7), full name (3)")
  }

  @Test(
    "reports where a score comes from",
    arguments: [
      (
        ["source": "client", "mood": .number("7.5"), "why": "nice"], "client",
        "The client sent the score of 92 with the lead"
      ),
      (
        ["source": "agent", "by": "Omar", "before": ["source": "server", "budget": 25, "intent": 22]], "agent",
        "The score of 92 was set by Omar; before that, the server had calculated 47."
      ),
      (
        ["source": "server", "budget": 25], "server",
        "The score is 92, but the server had calculated 25: it was changed later."
      ),
      (nil, "unknown", "there is no record of how it was calculated"), (["budget": 3], "unknown", "there is no record"),
    ] as [(JSON, String, String)])
  func sources(_ breakdown: JSON, _ source: String, _ sentence: String) {
    let told = explain(["leadScoreBreakdown": breakdown])
    #expect(told.document["score"]?["source"]?.string == source)
    #expect(told.sentences.first?.contains(sentence) == true, "\(told.sentences)")
  }

  @Test("parts that a client sent have no maximum and are not rounded") func client() {
    let told = explain(["leadScoreBreakdown": ["source": "client", "mood": .number("7.5"), "why": "nice"]])
    #expect(
      told.document["score"]?["parts"]
        == [["name": "mood", "points": .number("7.5"), "of": nil, "why": "sent by the client"]])
  }

  @Test("reports a rating that does not match the points") func rating() {
    #expect(explain(["leadQuality": "cold"]).sentences.contains("92 points would make it hot, but it was rated cold."))
    #expect(
      explain(["leadQuality": "warm", "leadScoreBreakdown": ["source": "server", "quality": "client", "budget": 92]])
        .sentences.contains("92 points would make it hot, but it was sent as warm."))
  }

  @Test("without office hours, counts one interval") func roundTheClock() {
    let sla = explain().document["sla"]
    #expect(
      sla?["intervals"]
        == [
          [
            "from": utc("2026-11-20T18:20:00+04:00"), "to": utc("2026-11-20T18:35:00+04:00"), "seconds": 900,
            "local": "Fri 20 Nov 2026 18:20 to 18:35",
          ]
        ])
    #expect(
      sla?["sentence"]?.string
        == "A hot lead must be answered within 15 minutes: counted from Fri 20 Nov 2026 18:20, the deadline is "
        + "Fri 20 Nov 2026 18:35 (Asia/Dubai). No agent has responded yet.")
  }

  @Test("with office hours, counts interval by interval") func officeHours() {
    let told = explain(["slaResponseDeadline": utc("2026-11-21T10:05:00+04:00")], hours: agency)
    let intervals = told.document["sla"]?["intervals"]?.array ?? []
    #expect(intervals.compactMap { $0["seconds"]?.integer } == [600, 300])
    #expect(
      intervals.compactMap { $0["local"]?.string } == [
        "Fri 20 Nov 2026 18:20 to 18:30", "Sat 21 Nov 2026 10:00 to 10:05",
      ])
    #expect(
      told.document["sla"]?["sentence"]?.string?.hasPrefix(
        "A hot lead must be answered within 15 minutes of office hours: Fri 20 Nov 2026 18:20 to 18:30 (10 minutes), "
          + "Sat 21 Nov 2026 10:00 to 10:05 (5 minutes) counted, so the deadline is Sat 21 Nov 2026 10:05 (Asia/Dubai)."
      ) == true)
  }

  @Test("reports that the office hours have changed since the deadline was set") func otherHours() {
    for hours in [nil, agency] {
      let told = explain(["slaResponseDeadline": utc("2026-11-20T19:00:00+04:00")], hours: hours)
      #expect(told.document["sla"]?["intervals"] == [])
      #expect(told.document["sla"]?["sentence"]?.string?.contains("have changed since it was set") == true)
    }
  }

  @Test("takes a later rating and later messages into account") func changed() {
    let rated = explain(["leadQuality": "cold"]).document["sla"]?["sentence"]?.string ?? ""
    #expect(rated.hasPrefix("A hot lead (its quality at the time) must be answered within 15 minutes: counted from"))
    let later = explain(
      ["slaResponseDeadline": utc("2026-11-20T20:15:00+04:00")], additions: [utc("2026-11-20T20:00:00.500+04:00")])
    #expect(
      later.document["sla"]?["sentence"]?.string?.hasPrefix(
        "A hot lead must be answered within 15 minutes after the customer continued the conversation: "
          + "counted from Fri 20 Nov 2026 20:00") == true)
  }

  @Test(
    "reports whether the deadline was met",
    arguments: [
      (
        ["firstResponseAt": utc("2026-11-20T18:30:00+04:00"), "slaState": "met"],
        "was sent at Fri 20 Nov 2026 18:30, 5 minutes before the deadline."
      ),
      (
        ["firstResponseAt": utc("2026-11-20T20:40:00+04:00"), "slaState": "breached"],
        "was sent at Fri 20 Nov 2026 20:40, 2 hours 5 minutes late."
      ),
      (["slaState": "warning"], "No agent has responded, and at most a third of the time is left."),
      (["slaState": "breached"], "No agent has responded, and the deadline has passed."),
      (["slaState": "breached", "status": "lost"], "It was closed without a response after the deadline."),
      (["status": "converted"], "It was closed without a response, so no response is due."),
      (["slaResponseDeadline": nil], "It has no deadline, so its response time is not measured."),
    ] as [(JSON, String)])
  func outcome(_ changes: JSON, _ end: String) {
    #expect(explain(changes).document["sla"]?["sentence"]?.string?.hasSuffix(end) == true)
  }

  @Test(
    "reports what is due next",
    arguments: [
      ([:], nil, "Next is the first response, due by Fri 20 Nov 2026 18:35 (Asia/Dubai)."),
      (
        ["slaResponseDeadline": utc("2026-11-20T18:20:00+04:00")], nil,
        "Next is the first response, overdue since Fri 20 Nov 2026 18:20 (Asia/Dubai)."
      ),
      (
        [:], ["at": utc("2026-11-20T18:30:00+04:00"), "reminderType": "call"],
        "Next is a follow-up by phone, due by Fri 20 Nov 2026 18:30 (Asia/Dubai)."
      ),
      (["firstResponseAt": utc("2026-11-20T18:22:00+04:00")], nil, "Nothing is due."),
      (["status": "lost"], nil, "It is closed, and nothing is due."),
    ] as [(JSON, JSON, String)])
  func next(_ changes: JSON, _ followUp: JSON, _ sentence: String) {
    #expect(explain(changes, followUp: followUp).sentences.last == sentence)
  }

  @Test("explains the state of each notification") func deliveries() {
    let told = explain(deliveries: [
      [
        "kind": "delivery", "now": utc("2026-11-20T18:25:00+04:00"), "event": ["type": "lead.created"],
        "delivery": [
          "id": "d1", "channel": "slack", "status": "sent", "state": "sent", "sentAt": "2026-11-20T14:20:01.000Z",
        ],
      ]
    ])
    #expect(
      told.document["deliveries"]
        == [
          [
            "id": "d1", "eventType": "lead.created", "channel": "slack", "status": "sent", "state": "sent",
            "sentence": "It was sent via slack at Fri 20 Nov 2026 18:20:01 (Asia/Dubai).",
          ]
        ])
    #expect(
      told.sentences.contains(
        "Notification d1 via slack: It was sent via slack at Fri 20 Nov 2026 18:20:01 (Asia/Dubai)."))
  }
}
