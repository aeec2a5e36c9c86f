import Forms
import Wire

/// A wish to get the newsletter, checked.
package struct Subscription: Sendable, Equatable {
  package let email: EmailAddress
  /// Where on the site it was given: `footer`.
  package let source: String?

  /// The body of POST /api/newsletter/subscribe.
  package static let form = Form([.required("email", .email), .optional("source", .text(1...200))])

  package init(checking body: JSON) throws(Form.Faults) {
    let form = try Self.form.check(body)
    guard let email = form["email"]?.string.flatMap(EmailAddress.init) else {
      throw Form.Faults(faults: [.init(path: "email", message: "is required")])
    }
    self.email = email
    source = form["source"]?.string
  }
}

/// A wish to get it no longer: by the address itself, or by the token that stands in each newsletter.
package enum Unsubscription: Sendable, Equatable {
  case email(EmailAddress)
  case token(UUIDText)

  /// The body of POST /api/newsletter/unsubscribe.
  package static let form = Form(
    [.optional("email", .email), .optional("token", .uuid)], atLeastOne: ["email", "token"])

  /// A token stands above an address.
  package init(checking body: JSON) throws(Form.Faults) {
    let form = try Self.form.check(body)
    if let token = form["token"]?.string.flatMap(UUIDText.init) {
      self = .token(token)
    } else if let email = form["email"]?.string.flatMap(EmailAddress.init) {
      self = .email(email)
    } else {
      throw Form.Faults(faults: [.init(path: "email", message: "or token is required")])
    }
  }
}
