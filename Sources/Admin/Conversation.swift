import Contract
import Forms
import Wire

/// A conversation as admin routes return it: the ConversationDTO and its ETag.
package enum Conversation {
  /// Returns the reply for a function that returns `{conversation, version}`.
  package static func reply(_ result: JSON, _ request: Request) throws(Problem) -> Reply {
    guard let conversation = result["conversation"], let version = result["version"]?.string else {
      throw Problem.internalError("the database returned no conversation")
    }
    return Reply(conversation, headers: ["etag": "\"\(version)\""])
  }

  /// Returns the reply for a function that also returns other members.
  package static func fullReply(_ result: JSON, _ request: Request) throws(Problem) -> Reply {
    guard let version = result["version"]?.string else {
      throw Problem.internalError("the database returned no conversation")
    }
    return Reply(result.removing("version"), headers: ["etag": "\"\(version)\""])
  }

  /// The JSON Schema of such a reply, with the schemas of its other members.
  package static func fullReplySchema(_ others: JSON) -> JSON {
    let properties = (others.members ?? []) + [JSON.Member("conversation", schema())]
    return [
      "type": "object", "properties": .object(properties), "required": .array(properties.map { .string($0.key) }),
    ]
  }

  /// The JSON Schema of the headers of such a reply.
  package static let replyHeaders: JSON = ["properties": ["ETag": etag]]
  /// The JSON Schema of a request's If-Match header.
  package static let ifMatch: JSON = [
    "properties": [
      "If-Match": [
        "type": "string",
        "pattern": "^(\\*|(W/)?\"[!#-~]+\"([ \\t]*,[ \\t]*(W/)?\"[!#-~]+\")*)$",
        "description": "the last ETag seen, or a list of ETags",
      ]
    ]
  ]
  private static let etag: JSON = ["type": "string", "pattern": "^(W/)?\"[!#-~]+\"$"]

  /// Returns the function's argument with the versions that the client accepts.
  package static func guarded(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    guard let header = checked.request.headers["if-match"] else { return checked.document }
    guard let versions = ETagList(header) else {
      throw Problem(FormError(fields: [FieldError(.invalidETag, at: "If-Match")]))
    }
    guard case .versions(let accepted) = versions else { return checked.document }
    return checked.document.setting("versions", .array(accepted.map(JSON.string)))
  }

  /// The JSON Schema of the ConversationDTO, with the messages if it is returned alone. Lists leave the metadata out.
  package static func schema(withMessages: Bool = false) -> JSON {
    let properties = withMessages ? dto + [JSON.Member("messages", ["type": "array", "items": message])] : dto
    let required = properties.map(\.key).filter { $0 != "metadata" }
    return [
      "type": "object", "properties": .object(properties), "required": .array(required.map(JSON.string)),
    ]
  }

  /// The JSON Schema of the ConversationDTO in a list, which has the messages only if they were asked for.
  package static let listed: JSON = {
    let dto = schema()
    return dto.setting(
      "properties", (dto["properties"] ?? [:]).setting("messages", ["type": "array", "items": message]))
  }()

  package static let message: JSON = [
    "type": "object", "required": ["id", "sender", "messageText", "messageType", "timestamp", "isRead"],
    "properties": [
      "id": Schema.uuid, "sender": ["enum": ["bot", "customer", "agent"]], "messageText": ["type": "string"],
      "messageType": ["type": "string"], "timestamp": Schema.time, "isRead": ["type": "boolean"],
      "metadata": ["type": ["object", "null"]],
    ],
  ]

  private static let dto: [JSON.Member] = [
    .init("id", Schema.uuid), .init("customerId", Schema.perhapsUUID), .init("customerName", Schema.perhapsText),
    .init("customerPhone", Schema.perhapsText), .init("customerEmail", Schema.perhapsText),
    .init("startTime", Schema.perhapsTime),
    .init("endTime", Schema.perhapsTime), .init("durationMinutes", ["type": ["integer", "null"]]),
    .init("status", ["enum": ["new", "in-progress", "completed", "lost", "converted", "spam"]]),
    .init("leadScore", ["type": "integer", "minimum": 0, "maximum": 100]),
    .init("leadQuality", ["enum": ["hot", "warm", "cold"]]), .init("budget", Schema.perhapsText),
    .init("propertyType", Schema.perhapsText), .init("preferredArea", Schema.perhapsText),
    .init("intent", Schema.perhapsText),
    .init("assignedAgentId", Schema.perhapsUUID), .init("assignedAgentName", Schema.perhapsText),
    .init("tags", ["type": "array", "items": ["type": "string"]]), .init("notes", Schema.perhapsText),
    .init("followUpDate", Schema.perhapsTime), .init("outcome", Schema.perhapsText),
    .init("conversionValue", ["type": ["number", "null"]]),
    .init("leadScoreBreakdown", ["type": ["object", "null"]]), .init("source", Schema.perhapsText),
    .init("metadata", ["type": ["object", "null"]]), .init("firstResponseAt", Schema.perhapsTime),
    .init("slaResponseDeadline", Schema.perhapsTime), .init("slaBreached", ["type": "boolean"]),
    .init("slaState", ["enum": ["ok", "warning", "breached", "met"]]), .init("lastMessageSnippet", Schema.perhapsText),
    .init("lastMessageAt", Schema.perhapsTime), .init("unreadCount", ["type": "integer", "minimum": 0]),
    .init("createdAt", Schema.time), .init("updatedAt", Schema.time),
  ]
}
