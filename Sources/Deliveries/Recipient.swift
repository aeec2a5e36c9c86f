import Wire

/// Somebody to notify: a channel and an address of it. A list of them, as JSON in LEADPIPE_CHANNELS, tells event-claim and
/// health-check what is configured without telling a secret.
package struct Recipient: Sendable, Equatable {
  /// The name of a `ChannelKind`.
  package let channel: String
  /// `default` for Slack, the chat's id, the mail address.
  package let address: String

  package init(channel: String, address: String) {
    self.channel = channel
    self.address = address
  }

  package var document: JSON { ["channel": .string(channel), "recipient": .string(address)] }

  /// Reads LEADPIPE_CHANNELS; nil when it is no list of {channel, recipient}.
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
