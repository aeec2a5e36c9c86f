/// What becomes of a message of which nobody knows whether it arrived: sent again, or left to a person.
package enum UnknownOutcome: String, Sendable, CaseIterable {
  case resend, park

  /// Whether it parks deliveries of this channel: not where a repeat is harmless.
  package func parks(_ channel: String) -> Bool {
    self == .park && ChannelKind.named(channel)?.isRepeatHarmless != true
  }

  /// What a parked delivery says of itself, with the way out.
  package static func reason(parked id: String) -> String {
    "Whether this arrived is unknown; it is parked: `leadpipe delivery retry \(id)` sends it again"
  }
}
