import Contract
import Deliveries
import Glibc
import Host
import Wire

/// The step that claims deliveries and gives them back: one question at a time, in an envelope, so that the answer is one line
/// however many deliveries it holds.
final class ClaimStep {
  private enum Question { case claim, release }

  private let step: StepProcess
  private let options: WorkerOptions
  private let log: Log
  private var asked: (question: Question, at: Instant)?
  /// What is to be given back: these questions go before the next claim.
  private var releases: [JSON] = []
  private var nextClaim = Instant.now
  private var failures = 0
  /// A tap that came while a question was on its way: a claim may have looked too early.
  private var wasWoken = false
  /// When a claim last told the database which channels there are: the first does, and one a minute, for what a worker
  /// before us left leased was not to be touched then.
  private var toldAt: Instant?

  private static let patience = 15

  init(_ step: StepProcess, _ options: WorkerOptions, log: Log) {
    self.step = step
    self.options = options
    self.log = log
  }

  var interests: [pollfd] { step.interests }
  /// When the next claim is due; nil while a question is on its way.
  var dueAt: Instant? { asked == nil ? nextClaim : nil }
  /// Whether there is still something to give back.
  var isReleasing: Bool { !releases.isEmpty || asked?.question == .release }

  /// There may be something new.
  func wake() {
    nextClaim = .now
    wasWoken = true
  }

  /// A lane has become free: it may take what is still due.
  func wakeForRoom() {
    nextClaim = min(nextClaim, .now)
    if asked != nil { wasWoken = true }
  }

  /// Gives back what dead workers of this machine held.
  func releaseOfTheDead() {
    releases.append(["host": .string(options.host), "alive": .array(options.living().map(JSON.string))])
  }

  /// Gives back all that this worker has claimed and not begun.
  func releaseAll() { releases.append([:]) }

  func release(_ deliveries: [Delivery]) {
    let ids = deliveries.map { JSON.string($0.id.text) }
    for start in stride(from: 0, to: ids.count, by: 1000) {
      releases.append(["ids": .array(Array(ids[start..<min(start + 1000, ids.count)]))])
    }
  }

  /// Gives up a question that has had its time, and asks the next release.
  func advance(now: Instant) {
    if let asked, asked.at.adding(seconds: Self.patience) <= now { failed("gave no answer in time") }
    if asked == nil, !releases.isEmpty { ask(.release, releases.removeFirst().setting("release", true), now) }
  }

  /// Asks for as much as there is `room` for, and a batch at most for each channel.
  func claim(_ room: [(channel: String, count: Int)], now: Instant) {
    let limits = room.map { JSON.Member($0.channel, JSON(min($0.count, options.batchSize))) }
    var body: JSON = ["limits": .object(limits), "isComplete": .bool(mustTell(now))]
    // Once only: two workers with different settings would go on ending each other's pauses.
    if toldAt == nil {
      let fingerprints = room.compactMap { lane in
        options.fingerprints[lane.channel].map { JSON.Member(lane.channel, .string($0)) }
      }
      body = body.setting("fingerprints", .object(fingerprints))
    }
    wasWoken = false
    ask(.claim, body, now)
  }

  /// Goes on where poll(2) found something to do; returns what has been claimed.
  func proceed(_ ready: [pollfd]) -> [Delivery] {
    let said = step.proceed(ready)
    var claimed: [Delivery] = []
    for reply in said.lines {
      guard let question = asked?.question else { break }
      claimed += answered(reply, to: question)
    }
    if let end = said.end, asked != nil { failed(end.reason) }
    return claimed
  }

  func rest(now: Instant) { if asked == nil { step.rest(after: options.idleSeconds, now: now) } }

  func stop() { step.stop() }

  private func mustTell(_ now: Instant) -> Bool { toldAt.map { $0.adding(seconds: 60) <= now } ?? true }

  private func ask(_ question: Question, _ body: JSON, _ now: Instant) {
    let body = body.setting("worker", .string(options.name))
    let envelope: JSON = [
      "headers": ["content-type": "application/json"], "body": .string(body.text),
      "requestContext": ["http": ["method": "POST"], "timeEpoch": JSON(now.milliseconds)],
    ]
    asked = (question, now)
    do throws(Child.Failure) { try step.send([envelope]) } catch { failed(error.reason) }
  }

  private func answered(_ reply: JSON, to question: Question) -> [Delivery] {
    asked = nil
    let status = reply["statusCode"]?.integer ?? 0
    guard question == .claim else {
      if status != 200 { log.warn("Claims could not be given back") }
      return []
    }
    guard status == 200 else {
      failed("status \(status)")
      return []
    }
    failures = 0
    if mustTell(.now) { toldAt = .now }
    let lines = (reply["body"]?.string ?? "").utf8.split(separator: UInt8(ascii: "\n"))
    let claimed = lines.compactMap { line in (try? JSON(reading: Array(line))).flatMap(Delivery.init) }
    if claimed.count < lines.count {
      log.error("What was claimed is no delivery", ["count": String(lines.count - claimed.count)])
    }
    // There may be more: ask again at once after anything, else at the next poll.
    let poll = Instant.now.adding(seconds: options.pollSeconds)
    let due = reply["headers"]?["x-next-due-at"]?.string.flatMap(Instant.init(iso8601:)) ?? poll
    // What falls due but is held by somebody else is not asked for without a pause.
    let later = max(min(due, poll), Instant(milliseconds: Instant.now.milliseconds + 50))
    nextClaim = claimed.isEmpty && !wasWoken ? later : .now
    return claimed
  }

  /// Waits a little longer after each failure in a row, up to the poll.
  private func failed(_ reason: String) {
    asked = nil
    step.stop()
    failures += 1
    log.warn("Claiming failed", ["reason": reason])
    nextClaim = Instant.now.adding(seconds: min(failures, max(options.pollSeconds, 1)))
  }
}
