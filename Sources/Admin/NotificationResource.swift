import Deliveries
import Forms
import Wire

/// A message about an event to one recipient: what was, is or will be sent.
package enum NotificationResource {
  private static let states = ["pending", "claimed", "sending", "sent", "delivered", "waiting", "parked", "given-up"]
  private static let statuses = ["pending", "sending", "sent", "delivered", "failed"]
  /// `lost` is never written down.
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
      "channel": ["type": "string"], "recipient": ["type": "string"], "subject": Schema.perhapsText,
      "status": ["enum": .array(statuses.map(JSON.string))],
      "state": ["enum": .array(states.map(JSON.string)), "description": "parts what status keeps together"],
      "class": ["type": ["string", "null"], "description": "what the last try came to"],
      "tries": ["type": "integer", "minimum": 0], "reason": Schema.perhapsText, "providerId": Schema.perhapsText,
      "createdAt": Schema.time, "nextAttemptAt": Schema.perhapsTime, "sentAt": Schema.perhapsTime,
      "retriedAt": Schema.perhapsTime, "leasedBy": Schema.perhapsText, "leaseUntil": Schema.perhapsTime,
      "replayOf": Schema.perhapsUUID,
    ],
  ]
}
