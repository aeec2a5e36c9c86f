import Contract
import Deliveries
import Glibc
import Host
import Wire

/// The lane of a channel, with the processes of its steps.
final class ChannelLane {
  let channel: String
  var lane: Lane
  let steps: [Lane.Stage: StepProcess]

  init(channel: String, lane: Lane, steps: [Lane.Stage: StepProcess]) {
    self.channel = channel
    self.lane = lane
    self.steps = steps
  }

  /// Does what is due: stops steps that have timed out, and passes deliveries to the next steps.
  func advance(now: Instant, log: Log) {
    for stage in lane.overdue(now: now) {
      guard let step = steps[stage] else { continue }
      handle(step.abandon("the step timed out"), of: stage, log: log)
    }
    perform(now: now, log: log)
  }

  /// Reads from and writes to the steps whose descriptors are ready. True if one of them replied or ended.
  func proceed(_ ready: [pollfd], log: Log) -> Bool {
    var hasAnswered = false
    for (stage, step) in steps {
      let output = step.proceed(ready)
      handle(output, of: stage, log: log)
      hasAnswered = hasAnswered || !output.lines.isEmpty || output.end != nil
    }
    if hasAnswered { perform(now: .steady, log: log) }
    return hasAnswered
  }

  /// Ends idle steps and old ones, unless they hold deliveries.
  func endIfIdle(after seconds: Int, now: Instant) {
    for (stage, step) in steps where !lane.isHolding(stage) { step.endIfIdle(after: seconds, now: now) }
  }

  func stop() {
    for step in steps.values { step.stop() }
  }

  private func handle(_ output: StepProcess.Output, of stage: Lane.Stage, log: Log) {
    for reply in output.lines { answered(reply, by: stage, log: log) }
    if let end = output.end { fail(stage, end.kind, end.reason, now: .steady, log: log) }
  }

  private func answered(_ reply: JSON, by stage: Lane.Stage, log: Log) {
    guard lane.isHolding(stage) else { return }
    let isBusy = reply["problem"]?["code"]?.string == ProblemCode.databaseBusy.rawValue
    let reply = StepReply(reply)
    if reply == nil { warn(stage, "the step replied with a problem", log) }
    report(lost: lane.answered(reply, isBusy: isBusy, by: stage, now: .steady), to: log)
  }

  private func fail(_ stage: Lane.Stage, _ end: StepEnd, _ reason: String, now: Instant, log: Log) {
    guard lane.isHolding(stage) else { return }
    warn(stage, reason, log)
    report(lost: lane.failed(stage, end, reason, now: now), to: log)
  }

  private func report(lost count: Int, to log: Log) {
    if count > 0 { log.error("Outcomes could not be recorded", ["channel": channel, "count": String(count)]) }
  }

  private func warn(_ stage: Lane.Stage, _ reason: String, _ log: Log) {
    log.warn("A step failed", ["channel": channel, "stage": "\(stage)", "reason": reason])
  }

  private func perform(now: Instant, log: Log) {
    for pass in lane.next(now: now) {
      guard let step = steps[pass.stage] else { continue }
      do throws(Child.Failure) { try step.send(pass.deliveries.map(\.document)) } catch {
        step.stop()
        fail(pass.stage, .notStarted, error.reason, now: now, log: log)
      }
    }
  }
}
