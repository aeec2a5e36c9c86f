import Contract
import Deliveries
import Store
import StoreAccess
import Wire

/// A channel as a whole: whether it is set up, how it stands, and what waits for it.
package enum ChannelState {
  /// What is configured is told along: the database does not know it.
  package static func asking(_ question: AdminEndpoint.Question) throws(Problem) -> JSON {
    question.document.setting("configured", .array(Recipient.configured(question.settings).map(\.document)))
  }

  package static let schema: JSON = [
    "type": "object",
    "required": [
      "name", "isConfigured", "recipients", "state", "pausedUntil", "class", "reason", "waiting", "sending", "givenUp",
      "oldestDueAt",
    ],
    "properties": [
      "name": ["type": "string"], "isConfigured": ["type": "boolean"],
      "recipients": ["type": "array", "items": ["type": "string"]],
      "state": ["enum": ["open", "paused", "probing"], "description": "probing: one message tries it out"],
      "pausedUntil": Schema.perhapsTime,
      "class": ["enum": ["throttled", "config", nil], "description": "what the pause is for"],
      "reason": ["type": ["string", "null"]], "waiting": count, "sending": count, "givenUp": count,
      "oldestDueAt": Schema.perhapsTime,
    ],
  ]

  package static let resumedSchema: JSON = [
    "type": "object", "required": ["channel", "wasPaused", "broughtForward"],
    "properties": [
      "channel": ["type": "string"], "wasPaused": ["type": "boolean"],
      "was": [
        "type": ["object", "null"],
        "properties": [
          "pausedUntil": Schema.perhapsTime, "class": ["type": ["string", "null"]],
          "reason": ["type": ["string", "null"]],
        ],
      ],
      "broughtForward": ["type": "integer", "description": "how many waited for its end, and are due now"],
    ],
  ]

  package static let testedSchema: JSON = [
    "type": "object", "required": ["channel", "eventId", "deliveries", "pausedUntil"],
    "properties": [
      "channel": ["type": "string"], "eventId": Schema.uuid,
      "deliveries": [
        "type": "array",
        "items": [
          "type": "object", "required": ["id", "recipient"],
          "properties": ["id": Schema.uuid, "recipient": ["type": "string"]],
        ],
      ],
      "pausedUntil": [
        "type": ["string", "null"], "format": "date-time", "description": "before which nothing is sent",
      ],
    ],
  ]

  private static let count: JSON = ["type": "integer", "minimum": 0]
}
