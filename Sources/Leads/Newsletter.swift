import Forms
import Wire

/// A validated request to subscribe to the newsletter.
package struct Subscription: Sendable, Equatable {
  package let email: EmailAddress
  /// Where on the website the request came from: `footer`.
  package let source: String?

  private static let emailField = Field.required("email", .email)
  private static let sourceField = Field.optional("source", .text(1...200))
  /// The body of POST /api/newsletter/subscribe.
  package static let form = Form([emailField, sourceField])

  package init(checking body: JSON) throws(FormError) {
    let form = try Self.form.check(body)
    email = form[Self.emailField]
    source = form[Self.sourceField]
  }
}

/// A validated request to unsubscribe, by email address or by the token in each newsletter.
package enum Unsubscription: Sendable, Equatable {
  case email(EmailAddress)
  case token(UUIDText)

  private static let emailField = Field.optional("email", .email)
  private static let tokenField = Field.optional("token", .uuid)
  /// The body of POST /api/newsletter/unsubscribe.
  package static let form = Form([emailField, tokenField], atLeastOne: [emailField, tokenField])

  /// If both are present, the token is used.
  package init(checking body: JSON) throws(FormError) {
    let form = try Self.form.check(body)
    if let token = form[Self.tokenField] {
      self = .token(token)
    } else if let email = form[Self.emailField] {
      self = .email(email)
    } else {
      preconditionFailure("the form requires one of them")
    }
  }
}
