import Wire

/// What every module may know of a channel: its name and the names of its settings. How it sends is known to Transports
/// alone, whose `Provider` values refer to these.
package struct ChannelKind: Sendable, Equatable {
  /// As the database, LEADPIPE_CHANNELS and the name of its notifier have it: `slack`, `notify-slack`.
  package let name: String
  /// How the team is notified, in a person's words: `on Slack`.
  package let way: String
  /// The settings that say where it sends and how. The worker's steps alone may have them, and when one changes, a
  /// pause of the channel for wrong settings ends.
  package let settings: [String]
  /// Where these settings lead, for those that lead somewhere.
  package let destinations: [String: Destination]
  /// The setting for how many messages a second may be sent; nil for a channel without a pace.
  package let paceSetting: String?
  /// Whether whoever gets a message twice takes it for one: its unknown outcomes are then always resolved by sending
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

  /// A repeated mail carries the same Message-ID or Idempotency-Key.
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
  /// The worker's step that sends to it.
  package var notifier: String { "notify-\(name)" }

  /// A text that changes when the settings of the channel do. Of the settings it holds sixteen bits: enough to notice a
  /// change, too few to find a secret by.
  package func fingerprint(_ environment: [String: String]) -> String {
    // FNV-1a, folded.
    var hash: UInt32 = 2_166_136_261
    for name in settings {
      for byte in "\(name)=\(environment[name] ?? "")\n".utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    }
    return String((hash >> 16) ^ (hash & 0xFFFF), radix: 16)
  }
}
