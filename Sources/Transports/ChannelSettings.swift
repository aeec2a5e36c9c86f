import Contract
import Wire

/// The settings of the channels, with what a good value is. Nobody's start fails for them: a notifier must pass the
/// lines of other channels on, so what is missing or wrong here becomes the outcome of its own channel's deliveries.
extension Setting {
  package static let slackWebhook = provider("SLACK_WEBHOOK_URL", required: true)
  package static let slackNewsletterWebhook = provider("SLACK_WEBHOOK_NEWSLETTER_URL")
  package static let telegramAPI = provider("TELEGRAM_API_URL")

  /// As BotFather gives it: the bot's number, a colon, the key.
  package static let telegramToken = Setting("TELEGRAM_BOT_TOKEN", required: true) { token in
    let parts = token.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    let isToken =
      parts.count == 2 && 1...20 ~= parts[0].count && 1...128 ~= parts[1].count
      && parts[0].allSatisfy { 0x30...0x39 ~= $0 }
      && parts[1].allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || $0 == 0x5F || $0 == 0x2D
      }
    return isToken ? nil : "must be a bot token: digits, a colon, then letters, digits, - and _"
  }

  package static let telegramChat = Setting("TELEGRAM_CHAT_ID") { chat in
    Telegram.isChat(chat) ? nil : "must be a chat's number or an @name"
  }

  package static let mailHost = Setting("EMAIL_HOST", required: true) { host in
    WebAddress.isHost(host) ? nil : "must be a host name or an address"
  }
  package static let mailPort = number("EMAIL_PORT", 1...65_535)
  package static let mailUser = Setting("EMAIL_USER", fault: controlFault)
  package static let mailPassword = Setting("EMAIL_PASS", fault: controlFault)
  package static let mailFrom = Setting("EMAIL_FROM", required: true) { from in
    Mailbox(from) == nil ? "must be a mail address, alone or as Name <address>" : nil
  }

  /// Visible ASCII, for it stands in a header.
  package static let resendKey = Setting("RESEND_API_KEY") { key in
    1...200 ~= key.utf8.count && key.utf8.allSatisfy { 0x21...0x7E ~= $0 } ? nil : "must be a key of Resend's: re_…"
  }
  package static let resendAPI = provider("RESEND_API_URL")

  /// A wrong one costs a notice its button, not its delivery.
  package static let frontend = Setting("FRONTEND_URL")

  private static func provider(_ name: String, required: Bool = false) -> Setting {
    Setting(name, required: required) { text in
      let address = WebAddress(text)
      return address.map { $0.isSecure || $0.isLoopback } == true
        ? nil : "must be an https address (http only on this machine)"
    }
  }

  @Sendable private static func controlFault(_ text: String) -> String? {
    text.utf8.contains { $0 < 0x20 || $0 == 0x7F } ? "must not hold control characters" : nil
  }
}
