import Contract
import Glibc
import Host
import Wire

/// The step that emits SLA warnings and breaches, and assigns leads. It runs when the next one is due, at least once in a poll interval,
/// and after a wake-up, because a new lead may have an earlier deadline.
final class SweepStep {
  private let step: StepProcess
  private let pollSeconds: Int
  private var requestedAt: Instant?
  private var nextRequest = Instant.steady
  private var wasWoken = false

  /// The time limit for a reply, in seconds.
  private static let timeLimit = 15
  /// The shortest time between two requests, in seconds, so that a flood of leads causes no flood of sweeps.
  private static let pause = 1

  init(_ step: StepProcess, pollSeconds: Int) {
    self.step = step
    self.pollSeconds = pollSeconds
  }

  var interests: [pollfd] { step.interests }
  /// When the next sweep is due; nil while one is in progress.
  var dueAt: Instant? { requestedAt == nil ? nextRequest : nil }

  /// Sweeps soon.
  func wake() {
    wasWoken = true
    nextRequest = min(nextRequest, Instant.steady.adding(seconds: Self.pause))
  }

  /// Starts a sweep if one is due, and abandons one that has timed out.
  func requestIfDue(now: Instant, log: Log) {
    if let requestedAt, requestedAt.adding(seconds: Self.timeLimit) <= now {
      failed("the step timed out", now: now, log: log)
    }
    guard requestedAt == nil else { return }
    guard nextRequest <= now else { return step.endIfIdle(after: 60, now: now) }
    requestedAt = now
    wasWoken = false
    do throws(Child.Failure) { try step.send([[:]]) } catch { failed(error.reason, now: now, log: log) }
  }

  /// Reads and writes what poll(2) found ready. True if there is something to claim.
  func proceed(_ ready: [pollfd], now: Instant, log: Log) -> Bool {
    let output = step.proceed(ready)
    var hasEmitted = false
    for reply in output.lines where requestedAt != nil {
      requestedAt = nil
      guard let warned = reply["warned"]?.integer, let breached = reply["breached"]?.integer else {
        failed("the step replied with a problem", now: now, log: log)
        continue
      }
      let others = ["summaries", "assigned", "moved", "notices"].compactMap { reply[$0]?.integer }
      hasEmitted = others.reduce(warned + breached, +) > 0 || hasEmitted
      let wait = min(reply["nextDueInMs"]?.integer ?? .max, wasWoken ? Self.pause * 1000 : pollSeconds * 1000)
      nextRequest = now.adding(milliseconds: max(wait, 0))
    }
    if let end = output.end, requestedAt != nil { failed(end.reason, now: now, log: log) }
    return hasEmitted
  }

  func stop() { step.stop() }

  private func failed(_ reason: String, now: Instant, log: Log) {
    log.warn("The SLA sweep failed", ["reason": reason])
    step.stop()
    requestedAt = nil
    nextRequest = now.adding(seconds: min(pollSeconds, 5))
  }
}
