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
  package let conversationID: UUIDText?
  /// The facts of the event, which the notification tells.
  package private(set) var payload: JSON
  /// Whether the outcome of the last attempt is unknown: this one says that it may come twice.
  package let isPossibleRepeat: Bool
  /// From when the time for attempts counts: the event, an operator's word, or either of them moved on by the time that the
  /// channel was paused.
  package let retryFrom: Instant
  /// When it was marked as being sent, and until when its send may start: later its lease could end meanwhile, and somebody
  /// else send it too. Both by the clock of the step that marked it.
  package private(set) var begunAt: Instant?
  package private(set) var sendBefore: Instant?

  /// Nil when a member that every delivery has is missing or of another type; `possibleRepeat` may be missing.
  package init?(_ document: JSON) {
    guard let id = document["id"]?.string.flatMap(UUIDText.init), let fence = document["fence"]?.integer,
      let attempt = document["attempt"]?.integer, let channel = document["channel"]?.string,
      let recipient = document["recipient"]?.string, let eventType = document["eventType"]?.string,
      let eventAt = document["eventAt"]?.string.flatMap(Instant.init(iso8601:)), let payload = document["payload"],
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
    self.payload = payload
    self.isPossibleRepeat = isPossibleRepeat
    retryFrom = document["retryFrom"]?.string.flatMap(Instant.init(iso8601:)) ?? eventAt
    conversationID = document["conversationId"]?.string.flatMap(UUIDText.init)
    begunAt = document["begunAt"]?.string.flatMap(Instant.init(iso8601:))
    sendBefore = document["sendBefore"]?.string.flatMap(Instant.init(iso8601:))
  }

  /// Marks it as being sent.
  package mutating func begin(at time: Instant, sendBefore limit: Instant) {
    (begunAt, sendBefore) = (time, limit)
    document = document.setting("begunAt", .string(time.iso8601)).setting("sendBefore", .string(limit.iso8601))
  }

  /// What happened to it, once something has.
  package var outcome: DeliveryOutcome? {
    get { document["outcome"].flatMap(DeliveryOutcome.init) }
    set { document = newValue.map { document.setting("outcome", $0.document) } ?? document.removing("outcome") }
  }

  /// Whether a step has already said what happened: it is then passed on untouched.
  package var hasOutcome: Bool { document["outcome"] != nil }

  /// The same delivery without the facts of its event, for steps that look up and write down.
  package var withoutFacts: Delivery {
    var delivery = self
    delivery.payload = [:]
    delivery.document = document.setting("payload", [:])
    return delivery
  }
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
