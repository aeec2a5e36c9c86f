import Contract
import Deliveries
import Glibc
import Host
import Wire

/// The step that claims deliveries and releases claims. It gets one request at a time, in an envelope, so that each
/// reply is one line, however many deliveries it holds.
final class ClaimStep {
  private enum Operation { case claim, release }

  private let step: StepProcess
  private let options: WorkerOptions
  private let log: Log
  private var pending: (operation: Operation, at: Instant)?
  /// Release requests that have not been sent. They are sent before the next claim.
  private var releases: [JSON] = []
  private var nextClaim = Instant.steady
  private var failures = 0
  /// True after a wake-up that arrived while a request was in progress. A claim in progress may have run too early to
  /// see the new deliveries.
  private var wasWoken = false
  /// When a claim last reported the complete list of channels to the database. The first claim does, and then one a
  /// minute, because deliveries that an earlier worker had leased could not be changed at the first claim.
  private var reportedAt: Instant?

  /// The time limit of a request, in seconds.
  private static let timeLimit = 15

  init(_ step: StepProcess, _ options: WorkerOptions, log: Log) {
    self.step = step
    self.options = options
    self.log = log
  }

  var interests: [pollfd] { step.interests }
  /// When the next claim is due; nil while a request is in progress.
  var dueAt: Instant? { pending == nil ? nextClaim : nil }
  /// True if a release request is waiting or in progress.
  var isReleasing: Bool { !releases.isEmpty || pending?.operation == .release }

  /// Claims as soon as possible, because there may be new deliveries.
  func wake() {
    nextClaim = .steady
    wasWoken = true
  }

  /// Claims as soon as possible, because a lane has become idle and can take deliveries that are still due.
  func wakeForCapacity() {
    nextClaim = min(nextClaim, .steady)
    if pending != nil { wasWoken = true }
  }

  /// Releases the claims of workers on this machine that no longer run.
  func releaseOfTheDead() {
    releases.append(["host": .string(options.host), "alive": .array(options.living().map(JSON.string))])
  }

  /// Releases all deliveries that this worker has claimed and not begun.
  func releaseAll() { releases.append([:]) }

  /// Releases the claims of these deliveries, at most 1000 in each request.
  func release(_ deliveries: [Delivery]) {
    let ids = deliveries.map { JSON.string($0.id.text) }
    for start in stride(from: 0, to: ids.count, by: 1000) {
      releases.append(["ids": .array(Array(ids[start..<min(start + 1000, ids.count)]))])
    }
  }

  /// Abandons a request that has timed out, and sends the next release request.
  func advance(now: Instant) {
    if let pending, pending.at.adding(seconds: Self.timeLimit) <= now { failed("the step timed out") }
    if pending == nil, !releases.isEmpty { request(.release, releases.removeFirst().setting("release", true), now) }
  }

  /// Claims at most `count` deliveries and at most one batch for each channel.
  func claim(_ free: [(channel: String, count: Int)], now: Instant) {
    let limits = free.map { JSON.Member($0.channel, JSON(min($0.count, options.batchSize))) }
    var body: JSON = ["limits": .object(limits), "isComplete": .bool(mustReportChannels(now))]
    // Only once: two workers with different settings would otherwise keep ending each other's pauses.
    if reportedAt == nil {
      let fingerprints = free.compactMap { lane in
        options.fingerprints[lane.channel].map { JSON.Member(lane.channel, .string($0)) }
      }
      body = body.setting("fingerprints", .object(fingerprints))
    }
    wasWoken = false
    request(.claim, body, now)
  }

  /// Reads and writes what poll(2) found ready. Returns the deliveries that have been claimed.
  func proceed(_ ready: [pollfd]) -> [Delivery] {
    let output = step.proceed(ready)
    var claimed: [Delivery] = []
    for reply in output.lines {
      guard let operation = pending?.operation else { break }
      claimed += answered(reply, to: operation)
    }
    if let end = output.end, pending != nil { failed(end.reason) }
    return claimed
  }

  func endIfIdle(now: Instant) { if pending == nil { step.endIfIdle(after: options.idleSeconds, now: now) } }

  func stop() { step.stop() }

  private func mustReportChannels(_ now: Instant) -> Bool { reportedAt.map { $0.adding(seconds: 60) <= now } ?? true }

  private func request(_ operation: Operation, _ body: JSON, _ now: Instant) {
    let body = body.setting("worker", .string(options.name))
    let envelope: JSON = [
      "headers": ["content-type": "application/json"], "body": .string(body.text),
      "requestContext": ["http": ["method": "POST"], "timeEpoch": JSON(Instant.now.milliseconds)],
    ]
    pending = (operation, now)
    do throws(Child.Failure) { try step.send([envelope]) } catch { failed(error.reason) }
  }

  private func answered(_ reply: JSON, to operation: Operation) -> [Delivery] {
    pending = nil
    let status = reply["statusCode"]?.integer ?? 0
    guard operation == .claim else {
      if status != 200 { log.warn("Claims could not be released") }
      return []
    }
    guard status == 200 else {
      failed("status \(status)")
      return []
    }
    if failures > 0 { log.info("Claiming works again") }
    failures = 0
    if mustReportChannels(.steady) { reportedAt = .steady }
    let lines = (reply["body"]?.string ?? "").utf8.split(separator: UInt8(ascii: "\n"))
    let claimed = lines.compactMap { line in (try? JSON(readingReply: Array(line))).flatMap(Delivery.init) }
    if claimed.count < lines.count {
      log.error("A claim returned lines that are not deliveries", ["count": String(lines.count - claimed.count)])
    }
    // After a claim that returned deliveries there may be more, so the next claim follows at once. Otherwise it waits
    // for the next due delivery or the poll.
    let poll = Instant.steady.adding(seconds: options.pollSeconds)
    let wait = reply["headers"]?["x-next-due-in-ms"]?.string.flatMap { Int($0) }
    let due = wait.map { Instant(milliseconds: Instant.steady.milliseconds + $0) } ?? poll
    // A delivery that is due may be claimed by another worker. The pause of 50 ms keeps this from becoming a busy loop.
    let later = max(min(due, poll), Instant(milliseconds: Instant.steady.milliseconds + 50))
    nextClaim = claimed.isEmpty && !wasWoken ? later : .steady
    return claimed
  }

  /// Delays the next claim by one second more after each failure in a row, up to the poll interval.
  private func failed(_ reason: String) {
    pending = nil
    step.stop()
    failures += 1
    log.warn("Claiming failed", ["reason": reason])
    nextClaim = Instant.steady.adding(seconds: min(failures, max(options.pollSeconds, 1)))
  }
}
