import Wire

/// A lead that has passed every check: what the rest of the house works with.
package struct Lead: Sendable, Equatable {
  package struct Message: Sendable, Equatable {
    package let id: String
    /// bot, customer or agent.
    package let sender: String
    package let text: String
    package let type: String
    package let time: Instant
    package let metadata: JSON?
  }

  package var source: String
  package var customerName: String
  package var customerPhone: PhoneNumber?
  package var customerEmail: EmailAddress?
  /// The conversation that this request continues, if it says so.
  package var conversationID: UUIDText?
  package var intent: String?
  package var budget: String?
  package var propertyType: String?
  package var preferredArea: String?
  package var tags: [String]
  package var notes: String?
  package var metadata: JSON?
  package var messages: [Message]
  package var idempotencyKey: String?
  package var score: Score
  package var receivedAt: Instant
}

extension Lead {
  package static let qualities = ["hot", "warm", "cold"]

  /// The body of POST /api/chatbot/leads.
  package static let chatbotForm = Form([
    .required("customerName", .text(2...200)), .required("customerPhone", .phone), .optional("customerEmail", .email),
    .optional("conversationId", .uuid), .optional("customerId", .uuid),
    .optional("intent", .choice(["buy", "rent", "sell", "invest", "browse"])), .optional("budget", .text(1...200)),
    .optional("propertyType", .text(1...200)), .optional("preferredArea", .text(1...200)),
    .optional("leadScore", .integer(0...100)), .optional("leadQuality", .choice(qualities)),
    .optional("tags", .texts(max: 50, each: 1...100)), .optional("notes", .text(1...5000)),
    .optional("leadScoreBreakdown", .object(maxBytes: 16_384)), .optional("metadata", .object(maxBytes: 16_384)),
    .optional("idempotencyKey", .key),
    .optional("consent", .form(Form([.optional("marketing", .boolean), .optional("policyVersion", .text(1...64))]))),
    .optional("messages", .forms(messageForm, max: 500)),
  ])

  private static let messageForm = Form([
    .required("id", .text(1...200)), .optional("sender", .choice(["bot", "user", "customer", "agent"])),
    .required("messageText", .text(1...5000)), .optional("messageType", .text(1...50)), .optional("timestamp", .time),
    .optional("metadata", .object(maxBytes: 16_384)),
  ])

  /// The only way from a request of the chatbot to a lead; all faults of the request come at once.
  package init(checking body: JSON, receivedAt: Instant) throws(Form.Faults) {
    let form = try Self.chatbotForm.check(body)
    messages = (form["messages"]?.array ?? []).map { message in
      let sender = message["sender"]?.string ?? "user"
      return Message(
        id: message["id"]?.string ?? "", sender: sender == "user" ? "customer" : sender,
        text: message["messageText"]?.string ?? "", type: message["messageType"]?.string ?? "text",
        time: Self.time(message["timestamp"], receivedAt: receivedAt), metadata: message["metadata"])
    }
    source = "chatbot"
    customerName = form["customerName"]?.string ?? ""
    customerPhone = form["customerPhone"]?.string.flatMap(PhoneNumber.init)
    customerEmail = form["customerEmail"]?.string.flatMap(EmailAddress.init)
    conversationID = form["conversationId"]?.string.flatMap(UUIDText.init)
    intent = form["intent"]?.string
    budget = form["budget"]?.string
    propertyType = form["propertyType"]?.string
    preferredArea = form["preferredArea"]?.string
    tags = (form["tags"]?.array ?? []).compactMap(\.string).reduce(into: []) { unique, tag in
      if !unique.contains(tag) { unique.append(tag) }
    }
    notes = form["notes"]?.string
    metadata = form["metadata"]
    if let consent = form["consent"] {
      metadata = (metadata ?? [:]).setting("consent", consent.setting("at", .string(receivedAt.iso8601)))
    }
    idempotencyKey = form["idempotencyKey"]?.string
    self.receivedAt = receivedAt
    score = Score(points: 0, quality: "cold", breakdown: [:])
    score = Score(
      of: self, clientPoints: form["leadScore"]?.integer, clientQuality: form["leadQuality"]?.string,
      clientBreakdown: form["leadScoreBreakdown"])
  }

  /// When a message was written. A clock that is ten years off counts as none.
  private static func time(_ said: JSON?, receivedAt: Instant) -> Instant {
    guard let time = said?.string.flatMap(Instant.init(iso8601:)),
      abs(time.seconds(since: receivedAt)) < 10 * 365 * 86_400
    else { return receivedAt }
    return time
  }

  /// When a first answer is due.
  package var responseDeadline: Instant { SLA.deadline(quality: score.quality, receivedAt: receivedAt) }

  /// From the first message to the last, in whole minutes; nil without messages.
  package var durationMinutes: Int? {
    guard let first = messages.map(\.time).min(), let last = messages.map(\.time).max() else { return nil }
    return last.seconds(since: first) / 60
  }

  /// The facts that a notification tells; what is absent is left out.
  package var eventPayload: JSON {
    let facts: JSON = [
      "source": .string(source), "customerName": .string(customerName), "customerPhone": JSON(customerPhone?.e164),
      "customerEmail": JSON(customerEmail?.text), "intent": JSON(intent), "budget": JSON(budget),
      "propertyType": JSON(propertyType), "preferredArea": JSON(preferredArea), "leadScore": JSON(score.points),
      "leadQuality": .string(score.quality), "durationMinutes": JSON(durationMinutes),
    ]
    return facts.withoutNulls
  }
}

extension Lead {
  /// What this request said, normalised, in the names of the interface's ConversationDTO; nothing that was stored before.
  package var facts: JSON {
    let facts: JSON = [
      "customerName": .string(customerName), "customerPhone": JSON(customerPhone?.e164),
      "customerEmail": JSON(customerEmail?.text), "intent": JSON(intent), "budget": JSON(budget),
      "propertyType": JSON(propertyType), "preferredArea": JSON(preferredArea), "leadScore": JSON(score.points),
      "leadQuality": .string(score.quality), "leadScoreBreakdown": score.breakdown, "source": .string(source),
      "tags": .array(tags.map(JSON.string)), "notes": JSON(notes), "metadata": metadata ?? .null,
      "durationMinutes": JSON(durationMinutes),
    ]
    return facts.withoutNulls
  }

  /// The schema of `facts` with what the store adds: the conversation of a 201.
  package static let conversationSchema: JSON = [
    "type": "object",
    "properties": [
      "id": ["type": "string", "format": "uuid"], "status": ["type": "string"],
      "createdAt": ["type": "string", "format": "date-time"], "updatedAt": ["type": "string", "format": "date-time"],
      "customerName": ["type": "string"], "customerPhone": ["type": "string"], "customerEmail": ["type": "string"],
      "intent": ["type": "string"], "budget": ["type": "string"], "propertyType": ["type": "string"],
      "preferredArea": ["type": "string"], "leadScore": ["type": "integer"], "leadQuality": ["type": "string"],
      "leadScoreBreakdown": ["type": "object"], "source": ["type": "string"],
      "tags": ["type": "array", "items": ["type": "string"]], "notes": ["type": "string"],
      "metadata": ["type": "object"],
      "durationMinutes": ["type": "integer"],
    ],
    "required": ["id", "status", "createdAt", "updatedAt", "customerName"],
  ]
}
