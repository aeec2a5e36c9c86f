/// What follows from the outcome of an attempt: a pure table, given the time and a random number.
package enum RetrySchedule {
  /// The next state of a delivery.
  package struct Verdict: Sendable, Equatable {
    /// sent, failed, or pending for what goes back as it was.
    package let status: String
    /// Whether the attempt counts against the message.
    package let burnsAttempt: Bool
    /// Seconds until the next attempt; nil when there is none.
    package let retryInSeconds: Int?

    package init(status: String, burnsAttempt: Bool, retryInSeconds: Int?) {
      self.status = status
      self.burnsAttempt = burnsAttempt
      self.retryInSeconds = retryInSeconds
    }
  }

  /// Seconds to wait after the first, second, … failed attempt; the last repeats.
  private static let backoff = [2, 10, 30, 120, 600, 1800, 3600, 7200, 14_400]
  /// No attempt begins later than this after the event, in seconds.
  package static let horizon = 72 * 3600
  /// A channel that is set up wrongly is asked again after this time.
  private static let configPause = 300
  private static let throttlePause = 30

  /// - Parameters:
  ///   - attempt: which attempt this was, from 1.
  ///   - eventAge: seconds since the event, or since an operator asked for it; paused time is not among them.
  ///   - chance: 0 to 1, spreads the waits by ±20 %.
  ///   - parksUnknown: what may have arrived is not sent again by itself.
  package static func verdict(
    on outcome: DeliveryOutcome, attempt: Int, eventAge: Int, chance: Double, parksUnknown: Bool = false
  ) -> Verdict {
    switch outcome.class {
    case .delivered, .accepted: return Verdict(status: "sent", burnsAttempt: true, retryInSeconds: nil)
    case .permanent, .lost: return Verdict(status: "failed", burnsAttempt: true, retryInSeconds: nil)
    case .unknown where parksUnknown: return Verdict(status: "failed", burnsAttempt: true, retryInSeconds: nil)
    case .deferred: return Verdict(status: "pending", burnsAttempt: false, retryInSeconds: nil)
    case .config: return Verdict(status: "failed", burnsAttempt: false, retryInSeconds: configPause)
    case .throttled:
      let wait = min(max(outcome.retryAfterSeconds ?? throttlePause, 1), 24 * 3600)
      return Verdict(status: "failed", burnsAttempt: false, retryInSeconds: wait)
    case .retry, .unknown:
      let base = Double(backoff[min(max(attempt, 1), backoff.count) - 1])
      let wait = max(Int((base * (0.8 + 0.4 * chance)).rounded()), min(outcome.retryAfterSeconds ?? 0, 24 * 3600))
      return Verdict(status: "failed", burnsAttempt: true, retryInSeconds: eventAge + wait > horizon ? nil : wait)
    }
  }
}
