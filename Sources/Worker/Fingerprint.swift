/// A text for each channel that changes when its settings do. Of the settings it holds sixteen bits: enough to notice a
/// change, too few to find a secret by.
package enum Fingerprint {
  private static let names = [
    "slack": ["SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_NEWSLETTER_URL"],
    "telegram": ["TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "TELEGRAM_API_URL"],
    "email": [
      "EMAIL_HOST", "EMAIL_PORT", "EMAIL_USER", "EMAIL_PASS", "EMAIL_FROM", "EMAIL_TO", "RESEND_API_KEY",
      "RESEND_API_URL",
    ],
  ]

  package static func channels(_ settings: [String: String]) -> [String: String] {
    names.mapValues { names in
      // FNV-1a, folded.
      var hash: UInt32 = 2_166_136_261
      for name in names {
        for byte in "\(name)=\(settings[name] ?? "")\n".utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
      }
      return String((hash >> 16) ^ (hash & 0xFFFF), radix: 16)
    }
  }
}
