import Wire

/// What every module can use of a channel: its name and the names of its settings. Sending is in Transports, whose
/// `Provider` values refer to these.
package struct ChannelKind: Sendable, Equatable {
  /// The name in the database, in LEADPIPE_CHANNELS and in the name of its notifier: `slack`, `notify-slack`.
  package let name: String
  /// How the team is notified, worded for people: `on Slack`.
  package let way: String
  /// The names of the settings for where and how it sends. Only the worker's steps receive them. When one changes, a
  /// pause of the channel for wrong settings ends.
  package let settings: [String]
  /// The network destinations of those settings that have one.
  package let destinations: [String: Destination]
  /// The setting for the maximum number of messages per second; nil for a channel without a limit.
  package let paceSetting: String?
  /// True if a repeated message is recognised as the same message. Unknown outcomes are then always resolved by sending
  /// again.
  package let isRepeatHarmless: Bool

  private init(
    _ name: String, way: String, settings: KeyValuePairs<String, Destination?>, paceSetting: String? = nil,
    isRepeatHarmless: Bool = false
  ) {
    self.name = name
    self.way = way
    self.settings = settings.map(\.key)
    destinations = settings.reduce(into: [:]) { if let destination = $1.value { $0[$1.key] = destination } }
    self.paceSetting = paceSetting
    self.isRepeatHarmless = isRepeatHarmless
  }

  package static let slack = ChannelKind(
    "slack", way: "on Slack",
    settings: ["SLACK_WEBHOOK_URL": .webAddress, "SLACK_WEBHOOK_NEWSLETTER_URL": .webAddress],
    paceSetting: "SLACK_PER_SECOND")

  package static let telegram = ChannelKind(
    "telegram", way: "on Telegram",
    settings: [
      "TELEGRAM_BOT_TOKEN": .webService(address: "TELEGRAM_API_URL"), "TELEGRAM_CHAT_ID": nil,
      "TELEGRAM_API_URL": .webAddress,
    ], paceSetting: "TELEGRAM_PER_SECOND")

  /// A repeated email has the same Message-ID or Idempotency-Key.
  package static let email = ChannelKind(
    "email", way: "by email",
    settings: [
      "EMAIL_HOST": .server(port: "EMAIL_PORT", standard: 587), "EMAIL_PORT": nil, "EMAIL_USER": nil,
      "EMAIL_PASS": nil, "EMAIL_FROM": nil, "EMAIL_TO": nil, "RESEND_API_KEY": .webService(address: "RESEND_API_URL"),
      "RESEND_API_URL": .webAddress,
    ], isRepeatHarmless: true)

  /// The channels that this version can send to.
  package static let all = [slack, telegram, email]
  package static let names = all.map(\.name)

  package static func named(_ name: String) -> ChannelKind? { all.first { $0.name == name } }
}

extension ChannelKind {
  /// The name of the worker's step that sends to the channel.
  package var notifier: String { "notify-\(name)" }

  /// Returns a fingerprint that changes when the channel's settings change. It has sixteen bits: enough to notice a
  /// change, too few to recover a secret from.
  package func fingerprint(_ environment: [String: String]) -> String {
    // FNV-1a, folded.
    var hash: UInt32 = 2_166_136_261
    for name in settings {
      for byte in "\(name)=\(environment[name] ?? "")\n".utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    }
    return String((hash >> 16) ^ (hash & 0xFFFF), radix: 16)
  }
}
