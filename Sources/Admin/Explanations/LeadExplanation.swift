import Deliveries
import Leads
import Wire

/// Explains a conversation's score, deadline and notifications, and what is due next. The facts come from
/// `explain_conversation`.
package struct LeadExplanation {
  private let facts: JSON
  private let clock: LocalClock
  private let score: ScoreExplanation
  private let deadline: DeadlineExplanation
  private let assignment: AssignmentExplanation

  /// - Parameters:
  ///   - hours: the current office hours. A deadline that was set by other hours is reported as such.
  ///   - notAssigning: why the settings assign no leads to agents. Nil if they do.
  package init(_ facts: JSON, hours: OfficeHours?, clock: LocalClock, notAssigning: String?) {
    self.facts = facts
    self.clock = clock
    let lead = facts["conversation"] ?? [:]
    score = ScoreExplanation(lead)
    deadline = DeadlineExplanation(
      lead, additions: (facts["additions"]?.array ?? []).compactMap { $0.instant },
      hours: hours, clock: clock)
    assignment = AssignmentExplanation(facts["assignment"] ?? [:], clock: clock, off: notAssigning)
  }

  package var document: JSON {
    [
      "id": facts["conversation"]?["id"] ?? .null, "score": score.document, "sla": deadline.document,
      "deliveries": .array(deliveries), "sentences": .array(sentences.map(JSON.string)),
    ]
  }

  /// The whole explanation as sentences, in reading order.
  package var sentences: [String] {
    score.sentences + [deadline.sentence] + assignment.sentences
      + deliveries.map { delivery in
        let id = delivery["id"]?.string ?? ""
        let what = delivery["eventType"]?.string == Receipt.eventType ? "Receipt for the visitor" : "Notification"
        return "\(what) \(id) via \(delivery["channel"]?.string ?? ""): \(delivery["sentence"]?.string ?? "")"
      } + receipt + undelivered + [next]
  }

  /// Explains why the visitor got no receipt. Empty if there is one, or if none was to be sent.
  private var receipt: [String] {
    let receipt = facts["receipt"] ?? [:]
    guard let reason = receipt["notSent"]?.string else { return [] }
    let at = receipt["at"]?.instant.map { " (decided at \(clock.text($0)), \(clock.zone))" } ?? ""
    return ["The visitor got no receipt: \(reason)\(at)."]
  }

  /// Explains each event that should have notified the team and has no delivery.
  private var undelivered: [String] {
    (facts["undelivered"]?.array ?? []).map { facts in
      "Event \(facts["event"]?["id"]?.string ?? ""): \(DeliveryExplanation(facts, clock: clock).sentence)"
    }
  }

  private var deliveries: [JSON] {
    (facts["deliveries"]?.array ?? []).map { standing in
      let delivery = (standing["delivery"] ?? [:])
        .setting("eventType", standing["event"]?["type"] ?? .null)
        .setting("sentence", .string(DeliveryExplanation(standing, clock: clock).sentence))
      return .object(
        ["id", "eventType", "channel", "status", "state", "sentence"].map { JSON.Member($0, delivery[$0] ?? .null) })
    }
  }

  /// What is due next.
  private var next: String {
    let lead = facts["conversation"] ?? [:]
    let now = facts["now"]?.instant ?? .now
    var steps: [(what: String, at: Instant)] = []
    let isOpen = ["new", "in-progress"].contains(lead["status"]?.string ?? "")
    if isOpen, lead["firstResponseAt"]?.string == nil, let deadline = deadline.deadline {
      steps.append(("the first response", deadline))
    }
    if let at = facts["followUp"]?["at"]?.instant {
      let type = facts["followUp"]?["reminderType"]?.string ?? ""
      let way = ["call": "phone", "email": "email", "sms": "SMS", "whatsapp": "WhatsApp"][type] ?? type
      steps.append(("a follow-up by \(way)", at))
    }
    guard let step = steps.min(by: { $0.at < $1.at }) else {
      return isOpen ? "Nothing is due." : "It is closed, and nothing is due."
    }
    let time = "\(clock.text(step.at)) (\(clock.zone))"
    return step.at <= now ? "Next is \(step.what), overdue since \(time)." : "Next is \(step.what), due by \(time)."
  }
}

extension LeadExplanation {
  package static let schema: JSON = [
    "type": "object", "required": ["id", "score", "sla", "deliveries", "sentences"],
    "properties": [
      "id": ["type": "string", "format": "uuid"],
      "score": [
        "type": "object", "required": ["total", "quality", "source", "parts"],
        "properties": [
          "total": ["type": "integer"], "quality": ["enum": .array(Lead.qualities.map(JSON.string))],
          "source": ["enum": ["client", "server", "agent", "unknown"]],
          "parts": [
            "type": "array",
            "items": [
              "type": "object", "required": ["name", "points", "of", "why"],
              "properties": [
                "name": ["type": "string"], "points": ["type": "number"], "of": ["type": ["integer", "null"]],
                "why": ["type": "string"],
              ],
            ],
          ],
        ],
      ],
      "sla": [
        "type": "object", "required": ["state", "deadline", "intervals", "sentence"],
        "properties": [
          "state": ["enum": ["ok", "warning", "breached", "met"]],
          "deadline": ["type": ["string", "null"], "format": "date-time"],
          "intervals": [
            "type": "array",
            "items": [
              "type": "object", "required": ["from", "to", "seconds", "local"],
              "properties": [
                "from": ["type": "string", "format": "date-time"], "to": ["type": "string", "format": "date-time"],
                "seconds": ["type": "integer"],
                "local": ["type": "string", "description": "the interval in the time zone TIME_ZONE"],
              ],
            ],
          ],
          "sentence": ["type": "string"],
        ],
      ],
      "deliveries": [
        "type": "array",
        "items": [
          "type": "object", "required": ["id", "eventType", "channel", "status", "state", "sentence"],
          "properties": [
            "id": ["type": "string", "format": "uuid"], "eventType": ["type": "string"], "channel": ["type": "string"],
            "status": ["type": "string"], "state": ["type": "string"], "sentence": ["type": "string"],
          ],
        ],
      ],
      "sentences": ["type": "array", "items": ["type": "string"]],
    ],
  ]
}
