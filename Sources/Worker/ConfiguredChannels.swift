import Deliveries
import Forms
import Wire

extension Channel {
  /// The channels that the settings configure, with their recipients: Slack by its webhook, Telegram by token and chat,
  /// mail by its host, to EMAIL_TO, else to EMAIL_USER if that is an address, else to the address in EMAIL_FROM.
  package static func configured(by settings: [String: String]) -> [Channel] {
    func value(_ name: String) -> String? { settings[name].flatMap { $0.isEmpty ? nil : $0 } }
    var channels: [Channel] = []
    if value("SLACK_WEBHOOK_URL") != nil { channels.append(Channel(name: "slack", recipient: "default")) }
    if value("TELEGRAM_BOT_TOKEN") != nil, let chat = value("TELEGRAM_CHAT_ID") {
      channels.append(Channel(name: "telegram", recipient: chat))
    }
    if value("EMAIL_HOST") != nil || value("RESEND_API_KEY") != nil {
      let recipients =
        value("EMAIL_TO").map(addresses) ?? value("EMAIL_USER").flatMap(EmailAddress.init).map { [$0.text] }
        ?? value("EMAIL_FROM").map(addresses) ?? []
      channels += recipients.map { Channel(name: "email", recipient: $0) }
    }
    return channels
  }

  /// The addresses of a comma-separated list, each alone or in angle brackets after a name.
  package static func addresses(_ list: String) -> [String] {
    list.split(separator: ",").compactMap { item in
      let text = cleanText(String(item))
      if let open = text.lastIndex(of: "<"), text.last == ">" {
        return EmailAddress(String(text[text.index(after: open)...].dropLast()))?.text
      }
      return EmailAddress(text)?.text
    }
  }
}
