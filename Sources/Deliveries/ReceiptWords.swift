import Wire

/// Who sends receipts, and how to reach them.
package struct Agency: Sendable, Equatable {
  package let name: String
  package let phone: String?
  package let email: String?

  package init(name: String = "TrueNester", phone: String? = nil, email: String? = nil) {
    self.name = name
    self.phone = phone
    self.email = email
  }
}

/// The sentences of a receipt in one language. Names in braces are replaced.
struct ReceiptWords: Sendable {
  let subject: String
  let heading: String
  let received: String
  /// What the request was, by the source of the lead.
  let requests: [String: String]
  /// What the request was if the source is unknown.
  let request: String
  let reference: String
  private let byPhone: String
  private let byEmail: String
  private let byBoth: String
  private let byReply: String
  /// For those who did not send the request.
  let stranger: String

  /// The sentence that says how to reach the agency.
  func reach(_ agency: Agency) -> String {
    switch (agency.phone, agency.email) {
    case (.some, .some): byBoth
    case (.some, nil): byPhone
    case (nil, .some): byEmail
    case (nil, nil): byReply
    }
  }

  static func of(_ language: VisitorLanguage) -> ReceiptWords {
    switch language {
    case .english: english
    case .arabic: arabic
    }
  }

  private static let english = ReceiptWords(
    subject: "{agency}: we have your request, reference {reference}", heading: "We have your request",
    received: "{agency} has received {request}. One of our agents will contact you.",
    requests: [
      "chatbot": "your request from the chat on our website", "contact_form": "your message from the contact form",
      "property_inquiry": "your question about a property",
      "sell_submission": "your request for a valuation of a property",
    ], request: "your request", reference: "Your reference is {reference}.", byPhone: "You can reach us at {phone}.",
    byEmail: "You can reach us at {email}.", byBoth: "You can reach us at {phone} or {email}.",
    byReply: "To reach us, reply to this message.",
    stranger: """
      If you did not send us a request, someone may have entered your address by mistake. You can ignore this \
      message, or tell us the reference, and we will delete the request.
      """)

  private static let arabic = ReceiptWords(
    subject: "{agency}: استلمنا طلبك، الرقم المرجعي {reference}", heading: "استلمنا طلبك",
    received: "استلمت {agency} {request}. سيتواصل معك أحد وكلائنا.",
    requests: [
      "chatbot": "طلبك عبر المحادثة في موقعنا", "contact_form": "رسالتك عبر نموذج الاتصال",
      "property_inquiry": "استفسارك عن أحد العقارات", "sell_submission": "طلبك لتقييم عقار",
    ], request: "طلبك", reference: "رقمك المرجعي هو {reference}.", byPhone: "يمكنك التواصل معنا على {phone}.",
    byEmail: "يمكنك التواصل معنا على {email}.", byBoth: "يمكنك التواصل معنا على {phone} أو {email}.",
    byReply: "للتواصل معنا، يمكنك الرد على هذه الرسالة.",
    stranger: """
      إذا لم ترسل إلينا أي طلب، فربما أدخل شخص ما عنوانك عن طريق الخطأ. يمكنك تجاهل هذه الرسالة، \
      أو إبلاغنا بالرقم المرجعي لنحذف الطلب.
      """)
}
