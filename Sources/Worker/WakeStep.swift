import Contract
import Glibc
import Host
import Wire

/// The step that listens for captures on other machines (WAKE=notify). It runs in a process of its own, so that the
/// worker's loop never waits for a name server or the database.
final class WakeStep {
  private let step: StepProcess
  private var requestedAt: Instant?
  private var nextRequest = Instant.steady

  /// The time limit for a reply, in seconds. The step replies earlier unless a name server delays it.
  private static let timeLimit = 120
  /// The delay after a failure, in seconds.
  private static let delay = 5

  init(_ step: StepProcess) { self.step = step }

  var interests: [pollfd] { step.interests }

  /// Keeps the step listening: sends the next request when the last one has been answered.
  func requestIfDue(now: Instant, log: Log) {
    if let requestedAt, requestedAt.adding(seconds: Self.timeLimit) <= now {
      failed("the step timed out", now: now, log: log)
    }
    guard requestedAt == nil, nextRequest <= now else { return }
    requestedAt = now
    do throws(Child.Failure) { try step.send([[:]]) } catch { failed(error.reason, now: now, log: log) }
  }

  /// Reads and writes what poll(2) found ready. True if there may be something to claim.
  func proceed(_ ready: [pollfd], now: Instant, log: Log) -> Bool {
    let output = step.proceed(ready)
    for reply in output.lines {
      requestedAt = nil
      if reply["isWoken"]?.bool == nil { failed("the step replied with a problem", now: now, log: log) }
    }
    if let end = output.end { failed(end.reason, now: now, log: log) }
    return output.lines.contains { $0["isWoken"] == true }
  }

  func stop() { step.stop() }

  private func failed(_ reason: String, now: Instant, log: Log) {
    log.warn("Listening failed", ["reason": reason])
    step.stop()
    requestedAt = nil
    nextRequest = now.adding(seconds: Self.delay)
  }
}
