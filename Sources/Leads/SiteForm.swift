import Forms
import Wire

/// A website form that creates a lead: contact, property inquiry, valuation.
package struct SiteForm: LeadForm {
  /// The value of conversations.source.
  package let source: String
  package let form: Form
  /// The customer's intent, where the form implies it.
  let intent: String?
  /// The customer's own text. It becomes a message of the conversation.
  let message: Field<String?>
  /// Fields without a column in conversations. They are stored in its metadata under these names.
  let details: [any FormField]

  fileprivate static let subject = Field.optional("subject", .text(1...200)).lenient
  fileprivate static let price = Field.optional("expectedPrice", .textOrNumber(1...200)).lenient
  fileprivate static let urgency = Field.optional("urgency", .text(1...200)).lenient
  private static let phone = LeadField.phone.lenient(beside: LeadField.email)
  private static let message = Field.optional("message", .text(1...5000)).lenient
  /// The language of the page, for messages to the customer.
  static let language = Field.optional("language", .word(["en", "ar"])).lenient
  private static let description = Field.optional("propertyDescription", .text(1...5000)).lenient

  private init(
    source: String, _ fields: [any FormField], intent: String?, message: Field<String?>, details: [any FormField]
  ) {
    self.source = source
    form = Form(
      [LeadField.name, LeadField.email, Self.phone, LeadField.idempotencyKey] + fields + [Self.language],
      atLeastOne: [LeadField.email, Self.phone])
    self.intent = intent
    self.message = message
    self.details = details
  }

  /// POST /api/contact.
  package static let contact = {
    let details: [any FormField] = [subject, Field.optional("department", .text(1...200)).lenient]
    return SiteForm(
      source: "contact_form", [.required(message.name, .text(1...5000))] + details, intent: nil, message: message,
      details: details)
  }()

  /// POST /api/property-inquiry.
  package static let inquiry = {
    let details: [any FormField] = [
      Field.optional("propertyTitle", .text(1...300)).lenient, Field.optional("propertyUrl", .webAddress).lenient,
    ]
    return SiteForm(
      source: "property_inquiry", details + [message, LeadField.budget, LeadField.propertyType], intent: nil,
      message: message, details: details)
  }()

  /// POST /api/sell-submission.
  package static let sell = {
    let address = Field.optional("propertyAddress", .text(1...500)).lenient
    return SiteForm(
      source: "sell_submission", [LeadField.propertyType, address, price, description, urgency], intent: "sell",
      message: description, details: [address, price, urgency])
  }()
}

extension SiteForm {
  package func lead(checking body: JSON, receivedAt: Instant) throws(FormError) -> Lead {
    Lead(self, try form.check(body), receivedAt: receivedAt)
  }
}

extension Lead {
  fileprivate init(_ site: SiteForm, _ form: CheckedForm, receivedAt: Instant) {
    self.init(form, source: site.source, receivedAt: receivedAt)
    intent = site.intent
    readAmount(in: budget ?? form[SiteForm.price])
    details = form.document(of: site.details)
    if details.members?.isEmpty == false { metadata = details }
    if let language = form[SiteForm.language] {
      metadata = (metadata ?? [:]).setting(SiteForm.language.name, .string(language))
    }
    if let words = form[site.message] {
      details = details.setting(site.message.name, .string(words))
      messages = [
        Message(
          id: site.message.name, sender: "customer", text: words, type: "text", time: receivedAt, metadata: nil)
      ]
    }
    keepAside(form)
    score = Score(of: self, written: [form[SiteForm.subject], form[SiteForm.urgency]])
  }
}
