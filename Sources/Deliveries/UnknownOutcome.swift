/// What becomes of a message of which nobody knows whether it arrived: sent again, or left to a person.
package enum UnknownOutcome: String, Sendable, CaseIterable {
  case resend, park

  /// Whether it holds for this channel. A repeated mail carries the same Message-ID, so mail is always sent again.
  package func parks(_ channel: String) -> Bool { self == .park && channel != "email" }

  /// What a parked delivery says of itself, with the way out.
  package static func reason(parked id: String) -> String {
    "Whether this arrived is unknown; it is parked: `leadpipe delivery retry \(id)` sends it again"
  }
}
