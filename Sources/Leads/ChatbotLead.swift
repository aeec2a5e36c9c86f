import Forms
import Wire

/// Fields that only the chatbot sends.
private enum ChatbotField {
  static let conversationID = Field.optional("conversationId", .uuid)
  static let intent = Field.optional("intent", .choice(["buy", "rent", "sell", "invest", "browse"]))
  static let score = Field.optional("leadScore", .integer(0...100))
  static let quality = Field.optional("leadQuality", .choice(Lead.qualities))
  static let breakdown = Field.optional("leadScoreBreakdown", .object(maxBytes: 16_384))
  static let tags = Field.optional("tags", .texts(max: 50, each: 1...100))
  static let notes = Field.optional("notes", .text(1...5000))
  static let metadata = Field.optional("metadata", .object(maxBytes: 16_384))
  static let consent = Field.optional(
    "consent", .form(Form([.optional("marketing", .boolean), .optional("policyVersion", .text(1...64))])))
  static let messages = Field.optional("messages", .forms(MessageField.form, max: 500))
}

private enum MessageField {
  static let id = Field.required("id", .text(1...200))
  static let sender = Field.optional("sender", .choice(["bot", "user", "customer", "agent"]))
  static let text = Field.required("messageText", .text(1...5000))
  static let type = Field.optional("messageType", .text(1...50))
  static let time = Field.optional("timestamp", .time)
  static let metadata = Field.optional("metadata", .object(maxBytes: 16_384))

  static let form = Form([id, sender, text, type, time, metadata])
}

/// The body of POST /api/chatbot/leads.
package struct ChatbotForm: LeadForm {
  package let form = Form([
    LeadField.name, .required(LeadField.phone.name, .phone), LeadField.email, ChatbotField.conversationID,
    .optional("customerId", .uuid), ChatbotField.intent, LeadField.budget, LeadField.propertyType,
    LeadField.preferredArea, ChatbotField.score, ChatbotField.quality, ChatbotField.tags, ChatbotField.notes,
    ChatbotField.breakdown, ChatbotField.metadata, LeadField.idempotencyKey, ChatbotField.consent,
    ChatbotField.messages,
  ])

  package init() {}

  package func lead(checking body: JSON, receivedAt: Instant) throws(FormError) -> Lead {
    Lead(try form.check(body), receivedAt: receivedAt)
  }
}

extension Lead {
  fileprivate init(_ form: CheckedForm, receivedAt: Instant) {
    self.init(form, source: "chatbot", receivedAt: receivedAt)
    messages = (form[ChatbotField.messages] ?? []).map { Message($0, receivedAt: receivedAt) }
    conversationID = form[ChatbotField.conversationID]
    intent = form[ChatbotField.intent]
    readAmount(in: budget)
    tags = (form[ChatbotField.tags] ?? []).reduce(into: []) { unique, tag in
      if !unique.contains(tag) { unique.append(tag) }
    }
    notes = form[ChatbotField.notes]
    metadata = form[ChatbotField.metadata]
    if let consent = form[ChatbotField.consent] {
      metadata = (metadata ?? [:]).setting("consent", consent.document.setting("at", .string(receivedAt.iso8601)))
    }
    score = Score(
      of: self, clientPoints: form[ChatbotField.score], clientQuality: form[ChatbotField.quality],
      clientBreakdown: form[ChatbotField.breakdown])
  }
}

extension Lead.Message {
  /// The sender defaults to the customer and the time to that of the request. A time more than ten years off comes from
  /// a wrong clock and is ignored.
  fileprivate init(_ form: CheckedForm, receivedAt: Instant) {
    let sender = form[MessageField.sender] ?? "user"
    let time = form[MessageField.time] ?? receivedAt
    self.init(
      id: form[MessageField.id], sender: sender == "user" ? "customer" : sender, text: form[MessageField.text],
      type: form[MessageField.type] ?? "text",
      time: abs(time.seconds(since: receivedAt)) < 10 * 365 * 86_400 ? time : receivedAt,
      metadata: form[MessageField.metadata])
  }
}
