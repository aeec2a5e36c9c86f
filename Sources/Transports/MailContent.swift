import Deliveries
import Wire

/// What an email says, apart from its addresses: a notification for the team, or a receipt for a visitor.
package struct MailContent: Sendable {
  package let subject: String
  let text: String
  let html: String
  /// Where replies go; nil for the sender.
  let replyTo: Mailbox?
  /// Further header fields, as whole lines.
  var headers: [String] = []
  /// What is added to the subject of a possible repeat; otherwise empty.
  var mark = ""

  /// Replies go to the customer, if the address is valid.
  package init(_ notification: Notification) {
    subject = notification.subject
    text = MailText.text(notification)
    html = MailText.html(notification)
    replyTo = notification.customerEmail.flatMap { Mailbox(address: $0) }
    mark = notification.mark
  }

  /// Replies go to the agency's address, if one is set. Programs that answer mail by themselves are asked not to.
  package init(_ receipt: Receipt, agency: Agency) {
    subject = receipt.subject
    text = ReceiptText.text(receipt)
    html = ReceiptText.html(receipt)
    replyTo = agency.email.flatMap { Mailbox(address: $0) }
    headers = ["X-Auto-Response-Suppress: All"]
  }

  /// The content of a delivery. Nil for a receipt without a lead: a visitor must not get what is for the team.
  init?(for delivery: Delivery, agency: Agency, frontendURL: String?, clock: LocalClock) {
    guard delivery.isReceipt else {
      self.init(Notification(for: delivery, frontendURL: frontendURL, clock: clock))
      return
    }
    guard let receipt = Receipt(for: delivery, agency: agency) else { return nil }
    self.init(receipt, agency: agency)
  }
}

/// A receipt as the two parts of an email.
enum ReceiptText {
  static func text(_ receipt: Receipt) -> String {
    let paragraphs = receipt.paragraphs.map { parts in
      parts.map { part in
        // In a sentence from right to left, numbers and addresses would be put in the wrong order.
        if case .value(let value) = part, receipt.language.isRightToLeft { return "\u{2068}\(value)\u{2069}" }
        return part.text
      }.joined()
    }
    return ([receipt.heading] + paragraphs).joined(separator: "\n\n") + "\n"
  }

  static func html(_ receipt: Receipt) -> String {
    let paragraphs = receipt.paragraphs.map { parts in
      let words = parts.map { part in
        switch part {
        case .words(let text): HTML.escaped(text)
        case .value(let text): "<bdi>\(HTML.escaped(text))</bdi>"
        }
      }
      return "<p>\(words.joined())</p>"
    }
    let direction = receipt.language.isRightToLeft ? "rtl" : "ltr"
    let heading = HTML.escaped(receipt.heading)
    return """
      <!DOCTYPE html>
      <html lang="\(receipt.language.rawValue)" dir="\(direction)"><head><meta charset="utf-8"><title>\(heading)</title></head>
      <body style="font-family:sans-serif" dir="\(direction)">
      <h2>\(heading)</h2>
      \(paragraphs.joined(separator: "\n"))
      </body></html>

      """
  }
}
