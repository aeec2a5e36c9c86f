import Wire

/// What happened to a conversation.
package enum Timeline {
  package static let schema: JSON = [
    "type": "object", "required": ["id", "type", "title", "description", "actorType", "actorName", "at", "metadata"],
    "properties": [
      "id": ["type": "string", "format": "uuid"], "type": ["type": "string"], "title": ["type": "string"],
      "description": ["type": ["string", "null"]], "actorType": ["enum": ["system", "agent", "customer", "bot"]],
      "actorName": ["type": ["string", "null"]], "at": ["type": "string", "format": "date-time"],
      "metadata": ["type": "object"],
    ],
  ]
}
