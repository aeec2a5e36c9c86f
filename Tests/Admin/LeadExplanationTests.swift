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
    ], hours: hours, clock: clock)
}

@Suite("Explanations of a lead's score and deadline") struct LeadExplanationTests {
  @Test("lists the parts of the score, each with its maximum") func score() {
    let parts = explain().document["score"]?["parts"]?.array ?? []
    #expect(parts.compactMap { $0["name"]?.string } == ["budget", "intent", "urgency", "contact", "engagement"])
    #expect(parts.compactMap { $0["of"]?.integer } == [30, 25, 15, 20, 10])
    #expect(
      parts.compactMap { $0["why"]?.string } == [
        "AED 5,000,000 or more on the scale for sales", "wants to buy", "says that it is urgent",
        "telephone number (10), mail address (7), full name (3)", "ten messages or more of the customer",
      ])
    #expect(explain().sentences.first == "The server counted 92 of 100 points.")
    #expect(explain().sentences.contains("budget: 25 of 30, AED 5,000,000 or more on the scale for sales."))
    #expect(explain().sentences.contains("From 80 points a lead is hot, from 50 warm, else cold: this one is hot."))
  }

  @Test("the maximums of all parts add up to 100") func maximum() { #expect(Score.parts.map(\.1).reduce(0, +) == 100) }

  @Test(
    "explains every number of points",
    arguments: [
      ("budget", 0, "rent", "no amount of money was named"),
      ("budget", 12, "rent", "AED 80,000 or more on the scale for yearly rent"),
      ("budget", 5, "invest", "less than AED 1,000,000 on the scale for investments"),
      ("budget", 22, "buy", "the budget on the scale for what was wanted then"),
      ("intent", 25, "", "wants to invest"), ("intent", 5, "", "is looking around"),
      ("intent", 0, "", "what is wanted was not said"),
      ("urgency", 8, "", "says that it will be soon"),
      ("urgency", 0, "", "nothing says that it is urgent, or something that it is not"),
      ("contact", 10, "", "telephone number (10)"), ("contact", 13, "", "telephone number (10), full name (3)"),
      ("contact", 0, "", "no way to answer"), ("contact", 1, "", "the ways to answer of that time"),
      ("engagement", 2, "", "one message of the customer"), ("engagement", 0, "", "no message of the customer"),
    ])
  func reasons(_ name: String, _ points: Int, _ intent: String, _ why: String) {
    let told = explain([
      "intent": .string(intent), "leadScoreBreakdown": .object([.init("source", "server"), .init(name, JSON(points))]),
    ])
    #expect(told.document["score"]?["parts"]?.array?.first?["why"]?.string == why)
  }

  @Test("explains ten points for contact without a phone number") func noPhoneNumber() {
    let told = explain(["customerPhone": nil, "leadScoreBreakdown": ["source": "server", "contact": 10]])
    #expect(told.document["score"]?["parts"]?.array?.first?["why"] == "mail address (7), full name (3)")
  }

  @Test(
    "reports where a score comes from",
    arguments: [
      (["source": "client", "mood": .number("7.5"), "why": "nice"], "client", "was sent by the client with the lead"),
      (
        ["source": "agent", "by": "Omar", "before": ["source": "server", "budget": 25, "intent": 22]], "agent",
        "The score of 92 was set by Omar; before that the server had counted 47."
      ),
      (
        ["source": "server", "budget": 25], "server",
        "The score is 92; the server had counted 25, so it was changed since."
      ),
      (nil, "unknown", "nothing says what it was made of"), (["budget": 3], "unknown", "nothing says"),
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
        == [["name": "mood", "points": .number("7.5"), "of": nil, "why": "as the client sent it"]])
  }

  @Test("reports a rating that does not match the points") func rating() {
    #expect(explain(["leadQuality": "cold"]).sentences.contains("92 points would make it hot; it was rated cold."))
    #expect(
      explain(["leadQuality": "warm", "leadScoreBreakdown": ["source": "server", "quality": "client", "budget": 92]])
        .sentences.contains("92 points would make it hot; it was sent as warm."))
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
        == "A hot lead is answered within 15 minutes: from Fri 20 Nov 2026 18:20 on, so by Fri 20 Nov 2026 18:35 "
        + "(Asia/Dubai). Nobody has answered yet.")
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
        "A hot lead is answered within 15 minutes of office hours: Fri 20 Nov 2026 18:20 to 18:30 (10 minutes), "
          + "Sat 21 Nov 2026 10:00 to 10:05 (5 minutes) counted, so by Sat 21 Nov 2026 10:05 (Asia/Dubai).") == true)
  }

  @Test("reports that the office hours have changed since the deadline was set") func otherHours() {
    for hours in [nil, agency] {
      let told = explain(["slaResponseDeadline": utc("2026-11-20T19:00:00+04:00")], hours: hours)
      #expect(told.document["sla"]?["intervals"] == [])
      #expect(told.document["sla"]?["sentence"]?.string?.contains("are no longer the same") == true)
    }
  }

  @Test("takes a later rating and later messages into account") func changed() {
    let rated = explain(["leadQuality": "cold"]).document["sla"]?["sentence"]?.string ?? ""
    #expect(rated.hasPrefix("A hot lead, as it was rated then, is answered within 15 minutes: from"))
    let later = explain(
      ["slaResponseDeadline": utc("2026-11-20T20:15:00+04:00")], additions: [utc("2026-11-20T20:00:00.500+04:00")])
    #expect(
      later.document["sla"]?["sentence"]?.string?.hasPrefix(
        "A hot lead is answered within 15 minutes of when the customer went on: from Fri 20 Nov 2026 20:00 on") == true)
  }

  @Test(
    "reports whether the deadline was met",
    arguments: [
      (
        ["firstResponseAt": utc("2026-11-20T18:30:00+04:00"), "slaState": "met"],
        "came at Fri 20 Nov 2026 18:30, 5 minutes before that."
      ),
      (
        ["firstResponseAt": utc("2026-11-20T20:40:00+04:00"), "slaState": "breached"],
        "came at Fri 20 Nov 2026 20:40, 2 hours 5 minutes late."
      ),
      (["slaState": "warning"], "Nobody has answered, and a third of the time or less is left."),
      (["slaState": "breached"], "Nobody has answered, and that time is past."),
      (["slaState": "breached", "status": "lost"], "It was closed without an answer after that."),
      (["status": "converted"], "It was closed without an answer, so nothing is due any more."),
      (["slaResponseDeadline": nil], "No deadline was written for it, so nothing is measured."),
    ] as [(JSON, String)])
  func outcome(_ changes: JSON, _ end: String) {
    #expect(explain(changes).document["sla"]?["sentence"]?.string?.hasSuffix(end) == true)
  }

  @Test(
    "reports what is due next",
    arguments: [
      ([:], nil, "Next is a first answer, due by Fri 20 Nov 2026 18:35 (Asia/Dubai)."),
      (
        ["slaResponseDeadline": utc("2026-11-20T18:20:00+04:00")], nil,
        "Next is a first answer, overdue since Fri 20 Nov 2026 18:20 (Asia/Dubai)."
      ),
      (
        [:], ["at": utc("2026-11-20T18:30:00+04:00"), "reminderType": "call"],
        "Next is a follow-up by telephone, due by Fri 20 Nov 2026 18:30 (Asia/Dubai)."
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
