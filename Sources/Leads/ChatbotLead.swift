import Forms
import Wire

extension Lead {
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
    self.init(form, source: "chatbot", receivedAt: receivedAt)
    messages = (form["messages"]?.array ?? []).map { message in
      let sender = message["sender"]?.string ?? "user"
      return Message(
        id: message["id"]?.string ?? "", sender: sender == "user" ? "customer" : sender,
        text: message["messageText"]?.string ?? "", type: message["messageType"]?.string ?? "text",
        time: Self.time(message["timestamp"], receivedAt: receivedAt), metadata: message["metadata"])
    }
    conversationID = form["conversationId"]?.string.flatMap(UUIDText.init)
    intent = form["intent"]?.string
    tags = (form["tags"]?.array ?? []).compactMap(\.string).reduce(into: []) { unique, tag in
      if !unique.contains(tag) { unique.append(tag) }
    }
    notes = form["notes"]?.string
    metadata = form["metadata"]
    if let consent = form["consent"] {
      metadata = (metadata ?? [:]).setting("consent", consent.setting("at", .string(receivedAt.iso8601)))
    }
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
}
