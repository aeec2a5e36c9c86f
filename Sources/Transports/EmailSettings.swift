import Contract
import Deliveries
import Forms
import Wire

/// What both ways of mail share: the sender and the recipients.
enum EmailSettings {
  static let from = Setting.of(.email, "EMAIL_FROM", required: true) { from in
    Mailbox(from) == nil ? "must be a mail address, alone or as Name <address>" : nil
  }

  /// Every recipient must be an address. Without this check, any other text would be ignored.
  static let to = Setting.of(.email, "EMAIL_TO") { list in
    let parts = list.split(separator: ",", omittingEmptySubsequences: false)
    return parts.count == addresses(list).count ? nil : "must be a list of mail addresses, separated by commas"
  }

  /// Mail goes to EMAIL_TO, else to EMAIL_USER if that is an address, else to the address in EMAIL_FROM.
  @Sendable static func recipients(_ environment: [String: String]) -> [String] {
    environment["EMAIL_TO"].map(addresses) ?? environment["EMAIL_USER"].flatMap(EmailAddress.init).map { [$0.text] }
      ?? environment["EMAIL_FROM"].map(addresses) ?? []
  }

  /// The addresses of a comma-separated list, each alone or in angle brackets after a name.
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
