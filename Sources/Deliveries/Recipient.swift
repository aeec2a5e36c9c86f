import Wire

/// A recipient of notifications: a channel and an address in it. LEADPIPE_CHANNELS is a JSON list of recipients, from
/// which event-claim and health-check read what is configured. It contains no secrets.
package struct Recipient: Sendable, Equatable {
  /// The name of a `ChannelKind`.
  package let channel: String
  /// `default` for Slack, the chat id for Telegram, the email address for email.
  package let address: String

  package init(channel: String, address: String) {
    self.channel = channel
    self.address = address
  }

  package var document: JSON { ["channel": .string(channel), "recipient": .string(address)] }

  /// Parses LEADPIPE_CHANNELS. Nil if it is not a list of {channel, recipient}.
  package static func list(_ text: String) -> [Recipient]? {
    guard let items = (try? JSON(reading: text))?.array else { return nil }
    let recipients = items.compactMap { item -> Recipient? in
      guard let channel = item["channel"]?.string, let address = item["recipient"]?.string,
        ChannelKind.names.contains(channel)
      else { return nil }
      return Recipient(channel: channel, address: address)
    }
    return recipients.count == items.count ? recipients : nil
  }
}
