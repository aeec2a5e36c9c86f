import Contract
import Glibc
import Host
import Wire

/// The step that waits for what other machines capture (WAKE=notify). It waits in a process of its own, so that the loop
/// waits for no name server and no database.
final class WakeStep {
  private let step: StepProcess
  private var askedAt: Instant?
  private var nextAsk = Instant.now

  /// Seconds that an answer takes at most, unless a name server keeps it waiting; and the rest after it had none.
  private static let patience = 120
  private static let rest = 5

  init(_ step: StepProcess) { self.step = step }

  var interests: [pollfd] { step.interests }

  /// Keeps it waiting: asks again once it has answered.
  func ask(now: Instant, log: Log) {
    if let askedAt, askedAt.adding(seconds: Self.patience) <= now {
      failed("gave no answer in time", now: now, log: log)
    }
    guard askedAt == nil, nextAsk <= now else { return }
    askedAt = now
    do throws(Child.Failure) { try step.send([[:]]) } catch { failed(error.reason, now: now, log: log) }
  }

  /// Goes on where poll(2) found something to do. Whether there may be something to claim.
  func proceed(_ ready: [pollfd], now: Instant, log: Log) -> Bool {
    let said = step.proceed(ready)
    for reply in said.lines {
      askedAt = nil
      if reply["isWoken"]?.bool == nil { failed("has a problem", now: now, log: log) }
    }
    if let end = said.end { failed(end.reason, now: now, log: log) }
    return said.lines.contains { $0["isWoken"] == true }
  }

  func stop() { step.stop() }

  private func failed(_ reason: String, now: Instant, log: Log) {
    log.warn("Listening failed", ["reason": reason])
    step.stop()
    askedAt = nil
    nextAsk = now.adding(seconds: Self.rest)
  }
}
