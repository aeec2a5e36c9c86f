import Handler
import Host
import Wire

/// A lane with the processes of its steps.
final class ChannelLane {
  let channel: String
  var lane: Lane
  let steps: [Lane.Stage: StepProcess]

  init(channel: String, lane: Lane, steps: [Lane.Stage: StepProcess]) {
    self.channel = channel
    self.lane = lane
    self.steps = steps
  }

  /// Does what the clock asks for: gives up a step that hangs, begins the next delivery.
  func advance(now: Instant, log: Log) {
    if lane.isOverdue(now: now), let work = lane.work {
      steps[work.stage]?.stop()
      fail("no answer in time", now: now, log: log)
    }
    obey(lane.next(now: now), now: now, log: log)
  }

  /// Reads the steps whose descriptor is readable; true when one of them answered.
  func read(_ descriptors: [Int32], log: Log) -> Bool {
    var hasAnswered = false
    for (stage, step) in steps where step.descriptor >= 0 && descriptors.contains(step.descriptor) {
      let isAtWork = lane.work?.stage == stage && lane.recordAgainAt == nil
      switch step.read() {
      case .notYet: continue
      case .line(let reply):
        hasAnswered = true
        if isAtWork, reply["problem"] != nil {
          fail("it answered a problem", now: .now, log: log)
        } else if isAtWork {
          obey(lane.answered(reply, now: .now), now: .now, log: log)
        }
      case .gone(let reason):
        hasAnswered = true
        if isAtWork { fail(reason, now: .now, log: log) }
      }
    }
    if hasAnswered { obey(lane.next(now: .now), now: .now, log: log) }
    return hasAnswered
  }

  /// Ends the steps that have had nothing to do for a while.
  func rest(after seconds: Int, now: Instant) {
    guard lane.isIdle else { return }
    for step in steps.values where step.lastUsed.adding(seconds: seconds) <= now { step.stop() }
  }

  func stop() {
    for step in steps.values { step.stop() }
  }

  private func fail(_ reason: String, now: Instant, log: Log) {
    log.warn("A step failed", ["channel": channel, "stage": lane.work.map { "\($0.stage)" } ?? "", "reason": reason])
    let isRecording = lane.work?.stage == .record
    obey(lane.failed(reason, now: now), now: now, log: log)
    if isRecording, lane.work == nil { log.error("An outcome could not be recorded", ["channel": channel]) }
  }

  private func obey(_ action: Lane.Action, now: Instant, log: Log) {
    guard case .pass(let line, let stage) = action, let step = steps[stage] else { return }
    do throws(Child.Failure) { try step.send(line) } catch {
      step.stop()
      fail(error.reason, now: now, log: log)
    }
  }
}
