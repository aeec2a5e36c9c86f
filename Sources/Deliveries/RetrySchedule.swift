/// Decides what follows from the outcome of an attempt. A pure function: time and chance are arguments.
package enum RetrySchedule {
  /// The next state of a delivery.
  package struct Verdict: Sendable, Equatable {
    /// sent, failed, or pending for a delivery that returns to the queue unchanged.
    package let status: String
    /// True if the attempt counts.
    package let burnsAttempt: Bool
    /// Seconds until the next attempt; nil if there is none.
    package let retryInSeconds: Int?

    package init(status: String, burnsAttempt: Bool, retryInSeconds: Int?) {
      self.status = status
      self.burnsAttempt = burnsAttempt
      self.retryInSeconds = retryInSeconds
    }
  }

  /// Seconds to wait after the first, second, … failed attempt. The last value repeats.
  private static let backoff = [2, 10, 30, 120, 600, 1800, 3600, 7200, 14_400]
  /// The last attempt begins at most this many seconds after the event.
  package static let horizon = 72 * 3600
  /// A misconfigured channel is tried again after this many seconds.
  private static let configPause = 300
  /// The wait in seconds if the provider requests none.
  private static let throttlePause = 30

  /// - Parameters:
  ///   - attempt: the number of this attempt, from 1.
  ///   - eventAge: seconds since the event, or since an operator requested the delivery, without paused time.
  ///   - chance: 0 to 1, spreads the waits by ±20 %.
  ///   - parksUnknown: true if a message that may have arrived is not sent again automatically.
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
