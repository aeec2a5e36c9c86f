import Contract
import Deliveries
import Forms
import Wire

/// The settings that SMTP and Resend share: the sender and the recipients.
enum EmailSettings {
  static let from = Setting.of(.email, "EMAIL_FROM", required: true) { from in
    Mailbox(from) == nil ? "must be an email address, alone or as Name <address>" : nil
  }

  /// Every recipient must be an address. Without this check, anything else would be ignored.
  static let to = Setting.of(.email, "EMAIL_TO") { list in
    let parts = list.split(separator: ",", omittingEmptySubsequences: false)
    return parts.count == addresses(list).count ? nil : "must be a list of email addresses, separated by commas"
  }

  /// Returns the recipients: those in EMAIL_TO, otherwise EMAIL_USER if it is an address, otherwise the address in
  /// EMAIL_FROM.
  @Sendable static func recipients(_ environment: [String: String]) -> [String] {
    environment["EMAIL_TO"].map(addresses) ?? environment["EMAIL_USER"].flatMap(EmailAddress.init).map { [$0.text] }
      ?? environment["EMAIL_FROM"].map(addresses) ?? []
  }

  /// Returns the addresses in a comma-separated list, each alone or in angle brackets after a name.
  private static func addresses(_ list: String) -> [String] {
    list.split(separator: ",").compactMap { item in
      let text = cleanText(String(item))
      if let open = text.lastIndex(of: "<"), text.last == ">" {
        return EmailAddress(String(text[text.index(after: open)...].dropLast()))?.text
      }
      return EmailAddress(text)?.text
    }
  }
}
