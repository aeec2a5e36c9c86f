import Contract
import Glibc
import Host
import Wire

/// A step that emits what is due: SLA warnings, breaches and assignments, reminders of follow-ups, or receipts. It runs
/// when something is due, at least once in an interval, and after a wake-up, because something new may be due earlier.
final class SweepStep {
  /// What differs between the sweeps.
  struct Kind {
    /// The name in the log.
    let name: String
    /// The members of a reply that count what is to be delivered.
    let counts: [String]
    /// The shortest interval between two polls, in seconds. The step's process ends after a minute without use.
    let leastPoll: Int

    static let deadlines = Kind(
      name: "SLA sweep", counts: ["warned", "breached", "summaries", "assigned", "moved", "notices"], leastPoll: 1)
    /// A new follow-up wakes the worker, so polls are rare.
    static let followUps = Kind(name: "follow-up sweep", counts: ["reminded", "summaries", "digests"], leastPoll: 90)
    static let receipts = Kind(name: "receipt sweep", counts: ["planned"], leastPoll: 1)
  }

  private let kind: Kind
  private let step: StepProcess
  private let pollSeconds: Int
  private var requestedAt: Instant?
  private var nextRequest = Instant.steady
  private var wasWoken = false

  /// The time limit for a reply, in seconds.
  private static let timeLimit = 15
  /// The shortest time between two requests, in seconds, so that a flood of leads causes no flood of sweeps.
  private static let pause = 1

  init(_ step: StepProcess, _ kind: Kind, pollSeconds: Int) {
    self.step = step
    self.kind = kind
    self.pollSeconds = max(pollSeconds, kind.leastPoll)
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
      let counts = kind.counts.compactMap { reply[$0]?.integer }
      guard counts.count == kind.counts.count else {
        failed("the step replied with a problem", now: now, log: log)
        continue
      }
      hasEmitted = hasEmitted || counts.contains { $0 > 0 }
      let wait = min(reply["nextDueInMs"]?.integer ?? .max, wasWoken ? Self.pause * 1000 : pollSeconds * 1000)
      nextRequest = now.adding(milliseconds: max(wait, 0))
    }
    if let end = output.end, requestedAt != nil { failed(end.reason, now: now, log: log) }
    return hasEmitted
  }

  func stop() { step.stop() }

  private func failed(_ reason: String, now: Instant, log: Log) {
    log.warn("The \(kind.name) failed", ["reason": reason])
    step.stop()
    requestedAt = nil
    nextRequest = now.adding(seconds: min(pollSeconds, 5))
  }
}
