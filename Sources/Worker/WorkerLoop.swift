import Contract
import Deliveries
import Glibc
import Host
import Wire

/// The worker's loop. It claims due deliveries and passes them through the steps. Each channel has a lane of its own,
/// so that no channel waits for another. The loop sleeps until a wake-up, the next poll or a reply. It uses one thread
/// and one poll(2).
package final class WorkerLoop {
  /// The handlers that a worker may need. It does not read the descriptions of others, so a broken endpoint cannot stop
  /// notifications.
  package static let steps = Set(
    ["data-prune", "delivery-begin", "delivery-record", "event-claim", "follow-up-sweep", "receipt-sweep", "sla-sweep"]
      + ChannelKind.all.map(\.notifier))
  /// The handler that a worker also needs if it listens.
  package static let listening = "wake-listen"

  private let options: WorkerOptions
  private let log: Log
  private let claimer: ClaimStep
  private let pruner: PruneStep
  private var sweepers: [SweepStep]
  private let listener: WakeStep?
  private var lanes: [ChannelLane] = []
  private var isStopping = false

  /// - Parameter settings: the settings from which each step receives its share, including LEADPIPE_CHANNELS.
  package init(
    _ options: WorkerOptions, recipients: [Recipient], folder: HandlerFolder, settings: [String: String], log: Log
  ) throws(HandlerFolder.Failure) {
    func step(_ name: String) throws(HandlerFolder.Failure) -> StepProcess {
      guard let handler = folder[name] else {
        throw HandlerFolder.Failure(reason: "the handler folder lacks the step \(name)")
      }
      return StepProcess(handler, settings: settings)
    }
    self.options = options
    self.log = log
    claimer = ClaimStep(try step("event-claim"), options, log: log)
    pruner = PruneStep(try step("data-prune"), idleSeconds: options.idleSeconds)
    sweepers = [
      SweepStep(try step("sla-sweep"), .deadlines, pollSeconds: options.pollSeconds),
      SweepStep(try step("follow-up-sweep"), .followUps, pollSeconds: options.pollSeconds),
    ]
    if settings["RECEIPTS"] == "on" {
      sweepers.append(SweepStep(try step("receipt-sweep"), .receipts, pollSeconds: options.pollSeconds))
    }
    listener = options.listens ? WakeStep(try step(Self.listening)) : nil
    for channel in ChannelKind.all where recipients.contains(where: { $0.channel == channel.name }) {
      lanes.append(
        ChannelLane(
          channel: channel.name,
          lane: Lane(capacity: options.capacity(of: channel.name), interval: options.intervals[channel.name] ?? 0),
          steps: [
            .begin: try step("delivery-begin"), .send: try step(channel.notifier), .record: try step("delivery-record"),
          ]))
    }
    lanes.sort { $0.channel < $1.channel }
  }

  /// Runs until SIGTERM or SIGINT. Deliveries that have begun are finished and recorded first, for at most 20 s.
  /// Deliveries that were only claimed are released.
  package func run(signals: SignalPipe) {
    let wake = options.wakePath.flatMap(WakeSocket.init)
    if let path = options.wakePath, wake == nil {
      let reason = String(cString: strerror(errno))
      log.warn("The wake socket cannot be created: polling only", ["path": path, "reason": reason])
    }
    log.write(.workerStarted, facts: ["channels": lanes.map(\.channel).joined(separator: ",")])
    claimer.releaseOfTheDead()
    var stopBy = Instant.steady
    while !isStopping || ((isAtWork || claimer.isReleasing) && .steady < stopBy) {
      advance()
      var entries = interests(signals, wake)
      _ = poll(&entries, nfds_t(entries.count), Int32(sleepMilliseconds()))
      if !signals.take().isEmpty, !isStopping {
        isStopping = true
        stopBy = Instant.steady.adding(seconds: 20)
        listener?.stop()
        for lane in lanes { lane.lane.dropQueue() }
        claimer.releaseAll()
      }
      if let wake, entries.contains(where: { $0.fd == wake.descriptor && $0.revents != 0 }) {
        wake.drain()
        claimer.wake()
        for sweeper in sweepers { sweeper.wake() }
      }
      proceed(entries.filter { $0.revents != 0 })
    }
    claimer.stop()
    pruner.stop()
    for sweeper in sweepers { sweeper.stop() }
    for lane in lanes { lane.stop() }
    log.info("Notification worker stopped")
  }

  private var isAtWork: Bool { lanes.contains { !$0.lane.isIdle } }

  /// True if a claim is worthwhile: a lane is at most half full, or there are no lanes.
  private var wantsMore: Bool {
    lanes.isEmpty || lanes.contains { $0.lane.freeCapacity > 0 && $0.lane.freeCapacity >= $0.lane.aim / 2 }
  }

  private func interests(_ signals: SignalPipe, _ wake: WakeSocket?) -> [pollfd] {
    [signals.descriptor, wake?.descriptor ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      + claimer.interests + pruner.interests + sweepers.flatMap(\.interests) + (listener?.interests ?? [])
      + lanes.flatMap { $0.steps.values.flatMap(\.interests) }
  }

  /// The time until the next claim, sweep, time limit or send is due. It is at most a second, so that a missed deadline
  /// cannot stall the loop.
  private func sleepMilliseconds() -> Int {
    let claim = isStopping || !wantsMore ? nil : claimer.dueAt
    let sweep = isStopping ? nil : sweepers.compactMap(\.dueAt).min()
    let next = (lanes.map(\.lane.wakesAt) + [claim, sweep]).compactMap { $0 }.min()
    let wait = next.map { $0.milliseconds - Instant.steady.milliseconds } ?? 1000
    return max(0, min(wait, claimer.dueAt == nil || isStopping ? 250 : 1000))
  }

  /// Does what is due.
  private func advance() {
    let now = Instant.steady
    claimer.release(lanes.flatMap { $0.lane.takeGivenUp() })
    claimer.advance(now: now)
    if !isStopping {
      pruner.requestIfDue(now: now, log: log)
      for sweeper in sweepers { sweeper.requestIfDue(now: now, log: log) }
      listener?.requestIfDue(now: now, log: log)
      if let due = claimer.dueAt, due <= now, wantsMore {
        claimer.claim(lanes.map { ($0.channel, $0.lane.freeCapacity) }, now: now)
      }
    }
    for lane in lanes {
      lane.advance(now: now, log: log)
      lane.endIfIdle(after: options.idleSeconds, now: now)
    }
    claimer.endIfIdle(now: now)
  }

  /// Handles the steps whose descriptors are ready.
  private func proceed(_ ready: [pollfd]) {
    let claimed = claimer.proceed(ready)
    // Deliveries that are claimed while the worker stops are released with the others.
    if !claimed.isEmpty, !isStopping {
      for lane in lanes { lane.lane.add(claimed.filter { $0.channel == lane.channel }) }
    }
    pruner.proceed(ready, log: log)
    for sweeper in sweepers where sweeper.proceed(ready, now: .steady, log: log) { claimer.wake() }
    if let listener, listener.proceed(ready, now: .steady, log: log) {
      claimer.wake()
      for sweeper in sweepers { sweeper.wake() }
    }
    for lane in lanes where lane.proceed(ready, log: log) && lane.lane.isIdle { claimer.wakeForCapacity() }
  }
}
