import Deliveries
import Wire

/// An email as it is sent (RFC 5322, 2045, 2047): fixed headers, then the content as plain text and as HTML. Lines
/// end with CR LF and have at most 76 characters.
package struct MailMessage: Sendable {
  /// Makes the Message-ID, which is the same for every attempt, so that many mailboxes show a repeat only once.
  package let deliveryID: UUIDText
  package let date: Instant
  package let from: Mailbox
  package let to: Mailbox
  package let content: MailContent

  package init(deliveryID: UUIDText, date: Instant, from: Mailbox, to: Mailbox, content: MailContent) {
    self.deliveryID = deliveryID
    self.date = date
    self.from = from
    self.to = to
    self.content = content
  }

  package init(deliveryID: UUIDText, date: Instant, from: Mailbox, to: Mailbox, notification: Notification) {
    self.init(deliveryID: deliveryID, date: date, from: from, to: to, content: MailContent(notification))
  }

  package var bytes: [UInt8] {
    // Base64 has no underscore, so the boundary cannot occur in a part.
    let boundary = "=_leadpipe_\(deliveryID.text)"
    var lines = [
      "Date: \(date.mailDate)",
      "Message-ID: <\(deliveryID.text)@\(from.domain)>",
      "From: \(from.header(column: 6))",
      "To: \(to.header(column: 4))",
      "Subject: \(EncodedWord.encode(content.subject, column: 9))",
    ]
    if let replyTo = content.replyTo { lines.append("Reply-To: \(replyTo.header(column: 10))") }
    lines += ["Auto-Submitted: auto-generated"] + content.headers
    lines += [
      "MIME-Version: 1.0",
      "Content-Type: multipart/alternative;",
      " boundary=\"\(boundary)\"",
      "",
    ]
    lines +=
      part("text/plain", content.text, boundary) + part("text/html", content.html, boundary)
    lines += ["--\(boundary)--", ""]
    return Array(lines.joined(separator: "\r\n").utf8)
  }

  private func part(_ type: String, _ text: String, _ boundary: String) -> [String] {
    let encoded = Array(Base64.encode(MailText.canonical(text)).utf8)
    let lines = stride(from: 0, to: encoded.count, by: 76).map {
      String(decoding: encoded[$0..<min($0 + 76, encoded.count)], as: UTF8.self)
    }
    return ["--\(boundary)", "Content-Type: \(type); charset=utf-8", "Content-Transfer-Encoding: base64", ""] + lines
  }
}

extension Instant {
  /// `Sun, 22 Nov 2026 21:00:00 +0000` (RFC 5322 §3.3).
  var mailDate: String {
    let text = Array(iso8601)
    let seconds = Int((Double(milliseconds) / 1000).rounded(.down))
    let days = Int((Double(seconds) / 86_400).rounded(.down))
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let (year, month, day) = Self.civil(days)
    return "\(weekdays[((days % 7) + 7) % 7]), \(day) \(months[month - 1]) \(year) \(String(text[11..<19])) +0000"
  }
}
