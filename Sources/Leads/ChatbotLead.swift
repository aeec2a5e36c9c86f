import Forms
import Wire

/// Fields that only the chatbot sends.
private enum ChatbotField {
  static let conversationID = Field.optional("conversationId", .uuid)
  static let intent = Field.optional("intent", .word(Lead.intents, names: Lead.intentNames)).lenient
  static let score = Field.optional("leadScore", .integer(0...100)).lenient
  static let quality = Field.optional("leadQuality", .word(Lead.qualities)).lenient
  static let breakdown = Field.optional("leadScoreBreakdown", .object(maxBytes: 16_384)).lenient
  static let tags = Field.optional("tags", .texts(max: 50, each: 1...100)).lenient
  static let notes = Field.optional("notes", .text(1...5000)).lenient
  static let metadata = Field.optional("metadata", .object(maxBytes: 16_384)).lenient
  static let consent = Field.optional(
    "consent", .form(Form([.optional("marketing", .boolean), .optional("policyVersion", .text(1...64))]))
  ).lenient
  /// A message that cannot be used is set aside. Only a broken id refuses the request, because two could become equal.
  static let messages = Field.optional("messages", .lastForms(MessageField.form, max: 500)).lenient
}

private enum MessageField {
  static let id = Field.required("id", .identifier(1...200)).identifying
  static let sender = Field.optional("sender", .word(senders, names: senderNames)).lenient
  static let text = Field.required("messageText", .text(1...5000))
  static let type = Field.optional("messageType", .text(1...50)).lenient
  static let time = Field.optional("timestamp", .instant).lenient
  static let metadata = Field.optional("metadata", .object(maxBytes: 16_384)).lenient

  static let form = Form([id, sender, text, type, time, metadata])

  private static let senders = ["bot", "user", "customer", "agent"]
  private static let senderNames = [
    "bot": ["assistant", "chatbot", "system"], "customer": ["client", "guest", "human", "visitor"],
    "agent": ["admin", "operator", "staff"],
  ]
}

/// The body of POST /api/chatbot/leads.
package struct ChatbotForm: LeadForm {
  package let form = Form([
    LeadField.name, Field.required(LeadField.phone.name, .phone), LeadField.email, ChatbotField.conversationID,
    Field.optional("customerId", .uuid).lenient, ChatbotField.intent, LeadField.budget, LeadField.propertyType,
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
    let messages = (form[ChatbotField.messages] ?? []).map { Message($0, receivedAt: receivedAt) }
    var texts: [String: String] = [:]
    for message in messages {
      if let text = texts[message.id] {
        if text != message.text { setAside(message) }
      } else {
        texts[message.id] = message.text
        self.messages.append(message)
      }
    }
    conversationID = form[ChatbotField.conversationID]
    intent = form[ChatbotField.intent]
    readAmount(in: budget)
    tags = (form[ChatbotField.tags] ?? []).reduce(into: []) { unique, tag in
      if !unique.contains(tag) { unique.append(tag) }
    }
    notes = form[ChatbotField.notes]
    // The server writes why it takes a lead for a robot's under this name.
    metadata = form[ChatbotField.metadata]?.removing("spam")
    if let consent = form[ChatbotField.consent] {
      metadata = (metadata ?? [:]).setting("consent", consent.document.setting("at", .string(receivedAt.iso8601)))
    }
    keepAside(form)
    score = Score(
      of: self, clientPoints: form[ChatbotField.score], clientQuality: form[ChatbotField.quality],
      clientBreakdown: form[ChatbotField.breakdown])
  }
}

extension Lead {
  /// Sets aside a message whose id an earlier one of the request has.
  private mutating func setAside(_ message: Message) {
    warnings.append(FieldError(.repeatedID, at: "messages", ["id": message.id]))
    aside = aside.setting("messages.\(message.id)", .string(message.text))
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
