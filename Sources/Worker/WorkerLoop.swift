import Contract
import Deliveries
import Glibc
import Host
import Wire

/// The loop that joins the steps: claims what is due, leads each channel's deliveries through their steps in a lane of
/// its own, so that no channel waits for another, and sleeps until a tap, the poll or an answer. One thread, one poll(2).
package final class WorkerLoop {
  package struct Options: Sendable {
    package var name: String
    /// The name of this machine: what dead workers of it held is given back.
    package var host: String
    /// A text for each channel that changes with its settings: a change ends its pause.
    package var fingerprints: [String: String] = [:]
    package var pollSeconds: Int
    package var batchSize: Int
    /// Where handlers tap; nil leaves the poll alone.
    package var wakePath: String?
    /// Whether to listen for captures of other machines too.
    package var listens = false
    /// The least time between two messages of a channel, in milliseconds; none where a channel is not named.
    package var intervals: [String: Int] = [:]
    /// Steps that have had nothing to do for this long end.
    package var idleSeconds = 60

    package init(host: String, pollSeconds: Int, batchSize: Int, wakePath: String?) {
      self.host = host
      name = "\(host):\(getpid())"
      self.pollSeconds = pollSeconds
      self.batchSize = batchSize
      self.wakePath = wakePath
    }
  }

  /// The handlers that a worker may need. It asks no other what it is: a broken endpoint stops no notification.
  package static let steps: Set<String> = [
    "data-prune", "delivery-begin", "delivery-record", "event-claim", "notify-email", "notify-slack", "notify-telegram",
  ]
  /// The one that a worker needs where it is to listen.
  package static let listening = "wake-listen"

  private let options: Options
  private let log: Log
  private let claimer: StepProcess
  private let pruner: StepProcess
  private let ear: WakeStep?
  private var nextPrune = Instant.now.adding(seconds: 60)
  private var claimAskedAt: Instant?
  /// What is to be given back: questions for the claimer, which go before the next claim.
  private var releases: [JSON] = []
  private var isReleasing = false
  private var nextClaim = Instant.now
  private var claimFailures = 0
  /// A tap that came while a claim was on its way: the claim may have looked too early.
  private var wasWoken = false
  /// When a claim last told the database which channels there are: the first does, and one a minute, for what a worker
  /// before us left leased was not to be touched then.
  private var toldAt: Instant?
  private var lanes: [ChannelLane] = []
  private var isStopping = false

  /// - Parameter settings: what the steps are given from, LEADPIPE_CHANNELS among it.
  package init(
    _ options: Options, channels: [Channel], folder: HandlerFolder, settings: [String: String], log: Log
  ) throws(HandlerFolder.Failure) {
    func step(_ name: String) throws(HandlerFolder.Failure) -> StepProcess {
      guard let handler = folder[name] else {
        throw HandlerFolder.Failure(reason: "the step \(name) is not in the folder")
      }
      return StepProcess(handler, settings: settings)
    }
    self.options = options
    self.log = log
    claimer = try step("event-claim")
    pruner = try step("data-prune")
    ear = options.listens ? WakeStep(try step(Self.listening)) : nil
    for name in Set(channels.map(\.name)).sorted() {
      // No more of a channel with a pace than it may send in ten seconds: a third of the shortest lease.
      let interval = options.intervals[name] ?? 0
      // Else a batch is claimed while the one before is sent.
      let capacity = interval > 0 ? min(options.batchSize, max(1, 10_000 / interval)) : 2 * options.batchSize
      lanes.append(
        ChannelLane(
          channel: name, lane: Lane(capacity: capacity, interval: interval),
          steps: [
            .begin: try step("delivery-begin"), .send: try step("notify-\(name)"), .record: try step("delivery-record"),
          ]))
    }
  }

  /// Runs until SIGTERM or SIGINT. What is being sent is finished and recorded first, for at most 20 s; what was only
  /// claimed is given back.
  package func run(signals: SignalPipe) {
    let wake = options.wakePath.flatMap(WakeSocket.init)
    if options.wakePath != nil, wake == nil { log.warn("The wake socket cannot be made: polling only") }
    log.write(.workerStarted, facts: ["channels": lanes.map(\.channel).joined(separator: ",")])
    releases = [["host": .string(options.host), "alive": .array(living().map(JSON.string))]]
    var stopBy = Instant.now
    while !isStopping || ((isAtWork || !releases.isEmpty || isReleasing) && .now < stopBy) {
      step()
      var entries = interests(signals, wake)
      _ = poll(&entries, nfds_t(entries.count), Int32(sleepMilliseconds()))
      if !signals.take().isEmpty, !isStopping {
        isStopping = true
        stopBy = Instant.now.adding(seconds: 20)
        ear?.stop()
        for index in lanes.indices { lanes[index].lane.dropQueue() }
        releases.append([:])
      }
      if let wake, entries.contains(where: { $0.fd == wake.descriptor && $0.revents != 0 }) {
        wake.drain()
        woken()
      }
      proceed(entries.filter { $0.revents != 0 })
    }
    claimer.stop()
    pruner.stop()
    for lane in lanes { lane.stop() }
    log.info("Notification worker stopped")
  }

  private func interests(_ signals: SignalPipe, _ wake: WakeSocket?) -> [pollfd] {
    [signals.descriptor, wake?.descriptor ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      + claimer.interests + pruner.interests + (ear?.interests ?? [])
      + lanes.flatMap { $0.steps.values.flatMap(\.interests) }
  }

  /// Until the next thing that the clock brings: a claim, a time limit, a lane's pace. Never more than a second, so that no
  /// forgotten clock holds anything up.
  private func sleepMilliseconds() -> Int {
    let claim = claimAskedAt != nil || isStopping || !wantsMore ? nil : nextClaim
    let next = (lanes.map(\.lane.wakesAt) + [claim]).compactMap { $0 }.min()
    let wait = next.map { $0.milliseconds - Instant.now.milliseconds } ?? 1000
    return max(0, min(wait, claimAskedAt != nil || isStopping ? 250 : 1000))
  }

  /// Whether a claim could bring anything: for a lane that is more than half full nothing is asked.
  private var wantsMore: Bool {
    lanes.isEmpty || lanes.contains { $0.lane.room > 0 && $0.lane.room >= $0.lane.aim / 2 }
  }

  /// What the clock asks for.
  private func step() {
    let now = Instant.now
    if let asked = claimAskedAt, asked.adding(seconds: 15) <= now { claimFailed("gave no answer in time") }
    release(now)
    prune(now)
    if !isStopping { ear?.ask(now: now, log: log) }
    if claimAskedAt == nil, !isStopping, nextClaim <= now, wantsMore { claim(now) }
    for lane in lanes {
      lane.advance(now: now, log: log)
      lane.rest(after: options.idleSeconds, now: now)
    }
    if claimAskedAt == nil { claimer.rest(after: options.idleSeconds, now: now) }
  }

  private var isAtWork: Bool { lanes.contains { !$0.lane.isIdle } }

  // MARK: - Giving back, and clearing away

  /// Gives back what lanes have given up, and at the end what nobody will begin any more.
  private func release(_ now: Instant) {
    let ids = lanes.flatMap { $0.lane.takeGivenUp() }.compactMap { $0["id"]?.string }
    for start in stride(from: 0, to: ids.count, by: 1000) {
      releases.append(["ids": .array(ids[start..<min(start + 1000, ids.count)].map(JSON.string))])
    }
    guard claimAskedAt == nil, !releases.isEmpty else { return }
    isReleasing = true
    ask(releases.removeFirst().setting("release", true), now)
  }

  /// The workers of this machine that may live, as they name themselves.
  private func living() -> [String] {
    guard let folder = opendir("/proc") else { return [options.name] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder), names.count < 4000 {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard Int(strict: name) != nil, let file = fopen("/proc/\(name)/comm", "re") else { continue }
      defer { fclose(file) }
      var buffer = [CChar](repeating: 0, count: 32)
      guard fgets(&buffer, 32, file) != nil, strcmp(buffer, "leadpipe\n") == 0 else { continue }
      names.append("\(options.host):\(name)")
    }
    return names
  }

  /// Once an hour what has been finished for long is taken away.
  private func prune(_ now: Instant) {
    guard !isStopping, nextPrune <= now else {
      if pruner.lastUsed.adding(seconds: options.idleSeconds) <= now { pruner.stop() }
      return
    }
    nextPrune = now.adding(seconds: 300)
    do throws(Child.Failure) { try pruner.send([[:]]) } catch { log.warn("Pruning failed", ["reason": error.reason]) }
  }

  // MARK: - Claiming

  /// Asks for as much as the lanes have room for, and a batch at most. Asked in an envelope, so that the answer is one line however many
  /// deliveries it holds.
  private func claim(_ now: Instant) {
    let limits = JSON.object(lanes.map { JSON.Member($0.channel, JSON(min($0.lane.room, options.batchSize))) })
    var body: JSON = [
      "limits": limits, "isComplete": .bool(toldAt.map { $0.adding(seconds: 60) <= now } ?? true),
    ]
    // Once only: two workers with different settings would go on ending each other's pauses.
    if toldAt == nil {
      let fingerprints = lanes.compactMap { lane in
        options.fingerprints[lane.channel].map { JSON.Member(lane.channel, .string($0)) }
      }
      body = body.setting("fingerprints", .object(fingerprints))
    }
    wasWoken = false
    ask(body, now)
  }

  private func ask(_ body: JSON, _ now: Instant) {
    let body = body.setting("worker", .string(options.name))
    let envelope: JSON = [
      "headers": ["content-type": "application/json"], "body": .string(body.text),
      "requestContext": ["http": ["method": "POST"], "timeEpoch": JSON(now.milliseconds)],
    ]
    do throws(Child.Failure) {
      try claimer.send([envelope])
      claimAskedAt = now
    } catch { claimFailed(error.reason) }
  }

  /// There may be something new. A claim that is on its way may have looked too early.
  private func woken() {
    nextClaim = .now
    wasWoken = true
  }

  private func claimed(_ reply: JSON) {
    claimAskedAt = nil
    if isReleasing {
      isReleasing = false
      if reply["statusCode"]?.integer != 200 { log.warn("Claims could not be given back") }
      return
    }
    guard reply["statusCode"]?.integer == 200 else { return claimFailed("status \(reply["statusCode"]?.integer ?? 0)") }
    claimFailures = 0
    if toldAt.map({ $0.adding(seconds: 60) <= .now }) ?? true { toldAt = .now }
    let lines = (reply["body"]?.string ?? "").split(separator: "\n").compactMap { try? JSON(reading: String($0)) }
    if isStopping { return }
    for lane in lanes { lane.lane.add(lines.filter { $0["channel"]?.string == lane.channel }) }
    // There may be more: ask again at once after anything, else at the next poll.
    let poll = Instant.now.adding(seconds: options.pollSeconds)
    let due = reply["headers"]?["x-next-due-at"]?.string.flatMap(Instant.init(iso8601:)) ?? poll
    // What falls due but is held by somebody else is not asked for without a pause.
    let later = max(min(due, poll), Instant(milliseconds: Instant.now.milliseconds + 50))
    nextClaim = lines.isEmpty && !wasWoken ? later : .now
  }

  /// Waits a little longer after each failure in a row, up to the poll.
  private func claimFailed(_ reason: String) {
    claimAskedAt = nil
    isReleasing = false
    claimer.stop()
    claimFailures += 1
    log.warn("Claiming failed", ["reason": reason])
    nextClaim = Instant.now.adding(seconds: min(claimFailures, max(options.pollSeconds, 1)))
  }

  // MARK: - Answers

  private func proceed(_ ready: [pollfd]) {
    let said = claimer.proceed(ready)
    for reply in said.lines where claimAskedAt != nil { claimed(reply) }
    if let end = said.end, claimAskedAt != nil { claimFailed(end.reason) }
    let pruned = pruner.proceed(ready)
    for reply in pruned.lines {
      if reply["problem"] != nil { log.warn("Pruning failed") }
      if reply["isComplete"] == false { nextPrune = Instant.now.adding(seconds: 1) }
    }
    if let ear, ear.proceed(ready, now: .now, log: log) { woken() }
    for lane in lanes where lane.proceed(ready, log: log) {
      // A lane that has become free may take what is still due.
      guard lane.lane.isIdle else { continue }
      nextClaim = min(nextClaim, .now)
      if claimAskedAt != nil { wasWoken = true }
    }
  }
}
