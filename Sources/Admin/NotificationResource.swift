import Deliveries
import Forms
import Wire

/// A notification about an event to one recipient: sent, being sent or pending.
package enum NotificationResource {
  private static let states = ["pending", "claimed", "sending", "sent", "delivered", "waiting", "parked", "given-up"]
  private static let statuses = ["pending", "sending", "sent", "delivered", "failed"]
  /// Without `lost`, which is never stored.
  private static let classes = DeliveryOutcome.Class.allCases.filter { $0 != .lost }.map(\.rawValue)

  package static let listForm = Form(
    [
      .optional("status", .choice(states + ["failed"])), .optional("channel", .choice(ChannelKind.names)),
      .optional("class", .choice(classes)), .optional("since", .instant),
    ] + Page.onward)

  package static let schema: JSON = [
    "type": "object", "required": ["id", "eventId", "channel", "recipient", "status", "state", "tries", "createdAt"],
    "properties": [
      "id": Schema.uuid, "eventId": Schema.uuid, "eventType": ["type": "string"], "conversationId": Schema.perhapsUUID,
      "customerName": [
        "type": ["string", "null"], "description": "the name in the conversation now; null without a conversation",
      ],
      "channel": ["type": "string"], "recipient": ["type": "string"], "subject": Schema.perhapsText,
      "status": ["enum": .array(statuses.map(JSON.string))],
      "state": ["enum": .array(states.map(JSON.string)), "description": "more detailed than status"],
      "class": ["type": ["string", "null"], "description": "outcome of the last attempt"],
      "tries": ["type": "integer", "minimum": 0], "reason": Schema.perhapsText, "providerId": Schema.perhapsText,
      "createdAt": Schema.time, "nextAttemptAt": Schema.perhapsTime, "sentAt": Schema.perhapsTime,
      "retriedAt": Schema.perhapsTime, "leasedBy": Schema.perhapsText, "leaseUntil": Schema.perhapsTime,
      "replayOf": Schema.perhapsUUID,
    ],
  ]
}
