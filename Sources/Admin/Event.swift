import Forms
import Leads
import Wire

/// An entry of the event log.
package enum Event {
  package static let listForm = Form(
    [
      .optional("type", .choices(LeadEventType.names)), .optional("conversationId", .uuid),
      .optional("processed", .boolean), .optional("since", .instant), .optional("until", .instant),
    ] + Page.onward)

  package static let schema: JSON = [
    "type": "object", "required": ["id", "type", "conversationId", "payload", "processed", "createdAt", "deliveries"],
    "properties": [
      "id": Schema.uuid, "type": ["enum": .array(LeadEventType.names.map(JSON.string))],
      "conversationId": Schema.perhapsUUID,
      "payload": ["type": "object"],
      "processed": ["type": "boolean", "description": "true if nothing is left to send for it"],
      "retryCount": ["type": "integer"], "lastError": ["type": ["string", "null"]],
      "createdAt": Schema.time, "plannedAt": Schema.perhapsTime, "processedAt": Schema.perhapsTime,
      "deliveries": [
        "type": "array",
        "items": [
          "type": "object", "required": ["id", "channel", "state"],
          "properties": ["id": Schema.uuid, "channel": ["type": "string"], "state": ["type": "string"]],
        ],
      ],
    ],
  ]

  package static let replaySchema: JSON = [
    "type": "object", "required": ["id", "deliveries"],
    "properties": [
      "id": Schema.uuid,
      "deliveries": [
        "type": "array",
        "items": [
          "type": "object", "required": ["id", "replayOf", "channel", "recipient"],
          "properties": [
            "id": Schema.uuid, "replayOf": Schema.uuid, "eventId": Schema.uuid, "channel": ["type": "string"],
            "recipient": ["type": "string"], "wasStatus": ["type": "string"], "wasClass": ["type": "string"],
          ],
        ],
      ],
    ],
  ]
}
