import Wire

/// A way to notify: a channel and one recipient of it. A list of them, as JSON in LEADPIPE_CHANNELS, tells event-claim and
/// health-check what is configured without telling a secret.
package struct Channel: Sendable, Equatable {
  /// slack, telegram or email.
  package let name: String
  package let recipient: String

  /// The channels that this version can send to.
  package static let names = ["slack", "telegram", "email"]

  package init(name: String, recipient: String) {
    self.name = name
    self.recipient = recipient
  }

  package var document: JSON { ["channel": .string(name), "recipient": .string(recipient)] }

  /// Reads LEADPIPE_CHANNELS; nil when it is no list of {channel, recipient}.
  package static func list(_ text: String) -> [Channel]? {
    guard let items = (try? JSON(reading: text))?.array else { return nil }
    let channels = items.compactMap { item -> Channel? in
      guard let name = item["channel"]?.string, let recipient = item["recipient"]?.string,
        names.contains(name)
      else { return nil }
      return Channel(name: name, recipient: recipient)
    }
    return channels.count == items.count ? channels : nil
  }
}
