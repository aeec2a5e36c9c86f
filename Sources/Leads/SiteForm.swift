import Forms
import Wire

/// A form of the website that makes a lead: contact, property inquiry, valuation.
package struct SiteForm: Sendable {
  /// What conversations.source says.
  package let source: String
  package let form: Form
  /// What is meant by sending this form, where that is plain.
  let intent: String?
  /// The field that holds the customer's own words: they become a message of the conversation.
  let message: String
  /// The fields for which conversations has no column: they are kept in its metadata, under these names.
  let details: [String]

  private static let person: [Form.Field] = [
    .required("customerName", .text(2...200)), .optional("customerEmail", .email), .optional("customerPhone", .phone),
    .optional("idempotencyKey", .key),
  ]
  private static let addresses = ["customerEmail", "customerPhone"]
  private static let reason = ": without either nobody could answer"

  /// POST /api/contact.
  package static let contact = SiteForm(
    source: "contact_form",
    form: Form(
      person + [
        .required("message", .text(1...5000)), .optional("subject", .text(1...200)),
        .optional("department", .text(1...200)),
      ], atLeastOne: addresses, because: reason),
    intent: nil, message: "message", details: ["subject", "department"])

  /// POST /api/property-inquiry.
  package static let inquiry = SiteForm(
    source: "property_inquiry",
    form: Form(
      person + [
        .optional("propertyTitle", .text(1...300)), .optional("propertyUrl", .webAddress),
        .optional("message", .text(1...5000)), .optional("budget", .text(1...200)),
        .optional("propertyType", .text(1...200)),
      ], atLeastOne: addresses, because: reason),
    intent: nil, message: "message", details: ["propertyTitle", "propertyUrl"])

  /// POST /api/sell-submission.
  package static let sell = SiteForm(
    source: "sell_submission",
    form: Form(
      person + [
        .optional("propertyType", .text(1...200)), .optional("propertyAddress", .text(1...500)),
        .optional("expectedPrice", .text(1...200)), .optional("propertyDescription", .text(1...5000)),
        .optional("urgency", .text(1...200)),
      ], atLeastOne: addresses, because: reason),
    intent: "sell", message: "propertyDescription", details: ["propertyAddress", "expectedPrice", "urgency"])
}

extension Lead {
  /// The only way from a form of the website to a lead; all faults of the request come at once.
  package init(_ site: SiteForm, checking body: JSON, receivedAt: Instant) throws(Form.Faults) {
    let form = try site.form.check(body)
    self.init(form, source: site.source, receivedAt: receivedAt)
    intent = site.intent
    details = .object(site.details.compactMap { name in form[name].map { JSON.Member(name, $0) } })
    if details.members?.isEmpty == false { metadata = details }
    if let words = form[site.message] {
      details = details.setting(site.message, words)
      messages = [
        Message(
          id: site.message, sender: "customer", text: words.string ?? "", type: "text", time: receivedAt, metadata: nil)
      ]
    }
    score = Score(of: self)
  }
}
