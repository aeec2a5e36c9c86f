import Wire

/// The caller as the panel sees it, with what the server offers.
package enum SessionReply {
  /// The JSON Schema of the replies that show or open a session.
  package static let schema: JSON = [
    "type": "object",
    "required": .array((["name", "rights", "agent"] + SessionFacts.schema.map(\.key)).map(JSON.string)),
    "properties": .object(
      [
        .init("name", ["type": "string"]), .init("rights", AdminKey.rightsSchema),
        .init("agent", AdminKey.agent), .init("expiresAt", Schema.time),
        .init(
          "csrfToken", ["type": "string", "description": "send it as X-CSRF-Token with each POST, PATCH and DELETE"]),
      ] + SessionFacts.schema),
  ]
}
