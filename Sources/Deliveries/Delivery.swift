import Wire

/// One delivery in the worker's pipeline: a line of NDJSON that event-claim writes, each step passes on, and
/// delivery-record reads. Steps keep members that they do not use.
package struct Delivery: Sendable, Equatable {
  package private(set) var document: JSON
  package let id: UUIDText
  /// The fence of the claim; an outcome counts only under the current fence.
  package let fence: Int
  /// The number of this attempt, from 1.
  package let attempt: Int
  package let channel: String
  /// `default` for Slack, the chat id for Telegram, the email address for email.
  package let recipient: String
  package let eventType: String
  package let eventAt: Instant
  /// True if an earlier message may have arrived: this one is then marked as a possible repeat.
  package let isPossibleRepeat: Bool

  /// Nil if a required member is missing or has the wrong type. `possibleRepeat` is optional.
  package init?(_ document: JSON) {
    guard let id = document["id"]?.string.flatMap(UUIDText.init), let fence = document["fence"]?.integer,
      let attempt = document["attempt"]?.integer, let channel = document["channel"]?.string,
      let recipient = document["recipient"]?.string, let eventType = document["eventType"]?.string,
      let eventAt = document["eventAt"]?.instant, document["payload"] != nil,
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

  /// The id of the request that caused the event, for log lines; nil if there was none.
  package var requestID: String? { document["requestId"]?.string }
  package var conversationID: UUIDText? { document["conversationId"]?.string.flatMap(UUIDText.init) }
  /// The facts of the event, which the notification contains.
  package var payload: JSON { document["payload"] ?? [:] }
  /// The start of the time for attempts: the event or an operator's request, plus the time for which the channel was
  /// paused.
  package var retryFrom: Instant { time("retryFrom") ?? eventAt }
  /// When it was marked as being sent, by the clock of the step that marked it.
  package var begunAt: Instant? { time("begunAt") }
  /// The time before which its send must start, by the same clock. If it started later, its lease could end during the
  /// send, and another worker could send it too.
  package var sendBefore: Instant? { time("sendBefore") }

  private func time(_ member: String) -> Instant? { document[member]?.instant }

  /// Marks it as being sent.
  package mutating func begin(at time: Instant, sendBefore limit: Instant) {
    document = document.setting("begunAt", .string(time.iso8601)).setting("sendBefore", .string(limit.iso8601))
  }

  /// The outcome of the attempt; nil until a step sets it, and for an outcome of an unknown class.
  package var outcome: DeliveryOutcome? {
    get { document["outcome"].flatMap(DeliveryOutcome.init) }
    set { document = newValue.map { document.setting("outcome", $0.document) } ?? document.removing("outcome") }
  }

  /// The class of its outcome. Nil if there is no outcome or its class is unknown.
  package var outcomeClass: DeliveryOutcome.Class? { document["outcome"].flatMap(DeliveryOutcome.Class.init(of:)) }

  /// True if a step has set an outcome: later steps then pass the delivery on unchanged.
  package var hasOutcome: Bool { document["outcome"] != nil }

  /// Returns the delivery with one more member.
  package func adding(_ member: String, _ value: JSON) -> Delivery {
    var delivery = self
    delivery.document = document.setting(member, value)
    return delivery
  }

  /// The delivery without the facts of its event, for steps that only use the database.
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
      "requestId": ["type": "string"], "possibleRepeat": ["type": "boolean", "default": false],
      "begunAt": ["type": "string", "format": "date-time"], "sendBefore": ["type": "string", "format": "date-time"],
      "outcome": [
        "type": "object", "required": ["class"],
        "properties": ["class": ["enum": .array(DeliveryOutcome.Class.allCases.map { .string($0.rawValue) })]],
      ],
    ],
  ]
}
