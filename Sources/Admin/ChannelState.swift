import Contract
import Deliveries
import Store
import StoreAccess
import Wire

/// The state of a channel: whether it is configured, whether it is paused, and how many deliveries are waiting.
package enum ChannelState {
  /// Adds the configured recipients to the function's argument, because the database does not store them.
  package static func withConfiguredRecipients(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    checked.document.setting("configured", .array(Recipient.configured(checked.settings).map(\.document)))
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
      "state": ["enum": ["open", "paused", "probing"], "description": "probing: one delivery tests the channel"],
      "pausedUntil": Schema.perhapsTime,
      "class": ["enum": ["throttled", "config", nil], "description": "why the channel is paused"],
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
      "broughtForward": ["type": "integer", "description": "number of waiting deliveries that are now due"],
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
        "type": ["string", "null"], "format": "date-time", "description": "nothing is sent before this time",
      ],
    ],
  ]

  private static let count: JSON = ["type": "integer", "minimum": 0]
}
