import Wire

/// One delivery on its way through the steps of the worker: a line of NDJSON that event-claim writes, each step passes on, and
/// delivery-record reads. Members that a step does not know stay on the line.
package struct Delivery: Sendable, Equatable {
  package private(set) var document: JSON
  package let id: UUIDText
  /// Results count only under the fence of the claim that led to them.
  package let fence: Int
  /// Which attempt this is, from 1.
  package let attempt: Int
  package let channel: String
  /// `default` for Slack, the chat's id, the mail address.
  package let recipient: String
  package let eventType: String
  package let eventAt: Instant
  /// Whether the outcome of the last attempt is unknown: this one says that it may come twice.
  package let isPossibleRepeat: Bool

  /// Nil when a member that every delivery has is missing or of another type; `possibleRepeat` may be missing.
  package init?(_ document: JSON) {
    guard let id = document["id"]?.string.flatMap(UUIDText.init), let fence = document["fence"]?.integer,
      let attempt = document["attempt"]?.integer, let channel = document["channel"]?.string,
      let recipient = document["recipient"]?.string, let eventType = document["eventType"]?.string,
      let eventAt = document["eventAt"]?.string.flatMap(Instant.init(iso8601:)), document["payload"] != nil,
      let isPossibleRepeat = (document["possibleRepeat"] ?? false).bool
    else { return nil }
    self.document = document
    self.id = id
    self.fence = fence
    self.attempt = attempt
    self.channel = channel
    self.recipient = recipient
    self.eventType = eventType
    self.eventAt = eventAt
    self.isPossibleRepeat = isPossibleRepeat
  }

  package var conversationID: UUIDText? { document["conversationId"]?.string.flatMap(UUIDText.init) }
  /// The facts of the event, which the notification tells.
  package var payload: JSON { document["payload"] ?? [:] }
  /// From when the time for attempts counts: the event, an operator's word, or either of them moved on by the time that the
  /// channel was paused.
  package var retryFrom: Instant { time("retryFrom") ?? eventAt }
  /// When it was marked as being sent, and until when its send may start: later its lease could end meanwhile, and another
  /// worker could send it too. Both by the clock of the step that marked it.
  package var begunAt: Instant? { time("begunAt") }
  package var sendBefore: Instant? { time("sendBefore") }

  private func time(_ member: String) -> Instant? { document[member]?.string.flatMap(Instant.init(iso8601:)) }

  /// Marks it as being sent.
  package mutating func begin(at time: Instant, sendBefore limit: Instant) {
    document = document.setting("begunAt", .string(time.iso8601)).setting("sendBefore", .string(limit.iso8601))
  }

  /// What happened to it, once something has.
  package var outcome: DeliveryOutcome? {
    get { document["outcome"].flatMap(DeliveryOutcome.init) }
    set { document = newValue.map { document.setting("outcome", $0.document) } ?? document.removing("outcome") }
  }

  /// The class of its outcome alone; nil also where the class is unknown.
  package var outcomeClass: DeliveryOutcome.Class? { document["outcome"].flatMap(DeliveryOutcome.Class.init(of:)) }

  /// Whether a step has already said what happened: it is then passed on untouched.
  package var hasOutcome: Bool { document["outcome"] != nil }

  /// The same delivery with a member that a step has added.
  package func adding(_ member: String, _ value: JSON) -> Delivery {
    var delivery = self
    delivery.document = document.setting(member, value)
    return delivery
  }

  /// The same delivery without the facts of its event, for steps that look up and write down.
  package var withoutFacts: Delivery { adding("payload", [:]) }
}

extension Delivery {
  package static let schema: JSON = [
    "type": "object",
    "required": ["id", "fence", "attempt", "channel", "recipient", "eventType", "eventAt", "payload"],
    "properties": [
      "id": ["type": "string", "format": "uuid"], "fence": ["type": "integer"], "attempt": ["type": "integer"],
      "channel": ["type": "string"], "recipient": ["type": "string"], "eventId": ["type": "string", "format": "uuid"],
      "eventType": ["type": "string"], "eventAt": ["type": "string", "format": "date-time"],
      "conversationId": ["type": ["string", "null"]], "payload": ["type": "object"],
      "retryFrom": ["type": "string", "format": "date-time"],
      "possibleRepeat": ["type": "boolean", "default": false],
      "begunAt": ["type": "string", "format": "date-time"], "sendBefore": ["type": "string", "format": "date-time"],
      "outcome": [
        "type": "object", "required": ["class"],
        "properties": ["class": ["enum": .array(DeliveryOutcome.Class.allCases.map { .string($0.rawValue) })]],
      ],
    ],
  ]
}
