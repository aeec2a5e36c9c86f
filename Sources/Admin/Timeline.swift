import Wire

/// The history of a conversation.
package enum Timeline {
  package static let schema: JSON = [
    "type": "object", "required": ["id", "type", "title", "description", "actorType", "actorName", "at", "metadata"],
    "properties": [
      "id": Schema.uuid, "type": ["type": "string"], "title": ["type": "string"],
      "description": Schema.perhapsText, "actorType": ["enum": ["system", "agent", "customer", "bot"]],
      "actorName": Schema.perhapsText, "at": Schema.time,
      "metadata": ["type": "object"],
    ],
  ]
}
