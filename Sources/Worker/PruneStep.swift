import Contract
import Glibc
import Host
import Wire

/// The step that deletes what was finished long ago. It runs a minute after the worker's start and then every five
/// minutes. While something is left to delete, it runs again after a second.
final class PruneStep {
  private let step: StepProcess
  private let idleSeconds: Int
  private var next = Instant.steady.adding(seconds: 60)

  init(_ step: StepProcess, idleSeconds: Int) {
    self.step = step
    self.idleSeconds = idleSeconds
  }

  var interests: [pollfd] { step.interests }

  /// Starts a run if one is due. Otherwise ends the process if it has been idle.
  func requestIfDue(now: Instant, log: Log) {
    guard next <= now else {
      if step.lastUsed.adding(seconds: idleSeconds) <= now { step.stop() }
      return
    }
    next = now.adding(seconds: 300)
    do throws(Child.Failure) { try step.send([[:]]) } catch { log.warn("Pruning failed", ["reason": error.reason]) }
  }

  /// Reads and writes what poll(2) found ready.
  func proceed(_ ready: [pollfd], log: Log) {
    for reply in step.proceed(ready).lines {
      if reply["problem"] != nil { log.warn("Pruning failed") }
      if reply["isComplete"] == false { next = Instant.steady.adding(seconds: 1) }
    }
  }

  func stop() { step.stop() }
}
