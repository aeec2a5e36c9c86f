/// What happens to a message if it is unknown whether it arrived: it is sent again, or left to a person.
package enum UnknownOutcome: String, Sendable, CaseIterable {
  case resend, park

  /// True if deliveries of this channel are parked. Channels where a repeat is harmless never park.
  package func parks(_ channel: String) -> Bool {
    self == .park && ChannelKind.named(channel)?.isRepeatHarmless != true
  }

  /// The reason of a receipt that is not sent again.
  package static let reasonOfReceipt = "It is unknown whether this receipt arrived; it is not sent again."

  /// The reason of a parked delivery, with the command that sends it again.
  package static func reason(parked id: String) -> String {
    "It is unknown whether this arrived; it is parked: `leadpipe delivery retry \(id)` sends it again"
  }
}
