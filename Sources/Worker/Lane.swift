import Deliveries
import Wire

/// The way of one channel's deliveries through its steps: begin, send, record. Begun and recorded in batches, sent in order and
/// no faster than the channel's pace. A pure state machine; the loop around it moves the lines and reads the clock.
///
/// No more is begun than can soon be sent: what is begun counts as sent when its worker dies. The facts of an event are for the
/// notifier alone: the other two steps, which look up and write down, get the lines without them.
package struct Lane: Sendable {
  package enum Stage: Int, Sendable, CaseIterable {
    case begin, send, record
  }

  /// Lines for the step of a stage. The step holds nothing else.
  package struct Pass: Sendable, Equatable {
    package let lines: [JSON]
    package let stage: Stage

    package init(_ lines: [JSON], to stage: Stage) {
      self.lines = lines
      self.stage = stage
    }
  }

  /// How long a step may take to answer a line, in seconds. The send step bounds itself at 10 s; this is for one that hangs.
  private static let patience = [Stage.begin: 12, .send: 15, .record: 12]
  /// How long a record that fails is tried again: a repeat of what was sent is worse than a late entry.
  private static let recordPatience = 600
  private static let recordBatch = 100
  private static let largestWindow = 64
  /// How much sending, in milliseconds, is begun ahead.
  private static let ahead = 50.0

  package let capacity: Int
  /// The least time between two sends, in milliseconds; 0 for none.
  package let interval: Int
  /// Claimed and not begun.
  package private(set) var queue: [JSON] = []
  private var begun: [JSON] = []
  /// Claimed and given up: it can be claimed again, at no cost.
  private var givenUp: [JSON] = []
  /// With outcomes that are not written down yet.
  private var outcomes: [JSON] = []
  /// The channel wants no more now, and not everybody knows it yet: nothing is begun meanwhile.
  private var isRefused = false
  /// What each step holds, in the order in which it will answer, and until when it must.
  private var held: [Stage: [JSON]] = [:]
  private var deadlines: [Stage: Instant] = [:]
  /// Since when the send step is at the first of its lines.
  private var sendingSince: Instant?
  private var maySendAt = Instant(milliseconds: 0)
  /// How long a send takes, in milliseconds: the last ones count most.
  private var meanSend = 250.0
  private var recordAgainAt: Instant?
  private var recordFailingSince: Instant?

  package init(capacity: Int, interval: Int = 0) {
    self.capacity = capacity
    self.interval = interval
  }

  private var heldCount: Int { held.values.reduce(0) { $0 + $1.count } }
  /// How many more deliveries may be claimed for this lane.
  /// None while outcomes cannot be written down: their leases may end meanwhile, and who claims them makes a late word void.
  package var room: Int {
    recordFailingSince != nil ? 0 : max(0, aim - queue.count - begun.count - (held[.begin]?.count ?? 0) - sending)
  }
  /// How many deliveries are held at most: no more than can be sent in half of the shortest lease.
  package var aim: Int { interval > 0 ? capacity : min(capacity, max(1, Int(15_000 / max(meanSend, 1)))) }
  package var isIdle: Bool { queue.isEmpty && begun.isEmpty && outcomes.isEmpty && heldCount == 0 }
  private var sending: Int { held[.send]?.count ?? 0 }

  /// How many deliveries may be begun and not sent: as many as go out in a twentieth of a second.
  private var window: Int {
    interval > 0 ? 1 : min(max(Int(Self.ahead / max(meanSend, 0.1)), 1), Self.largestWindow)
  }

  /// Whether the step of a stage is waited for.
  package func isHolding(_ stage: Stage) -> Bool { held[stage]?.isEmpty == false }

  package mutating func add(_ lines: [JSON]) { queue += lines }

  /// Gives up what has not begun.
  package mutating func dropQueue() {
    givenUp += queue
    queue = []
  }

  /// What has been given up since the last call: its leases can be given back.
  package mutating func takeGivenUp() -> [JSON] {
    defer { givenUp = [] }
    return givenUp
  }

  /// What the steps are to do now.
  package mutating func next(now: Instant) -> [Pass] {
    var passes: [Pass] = []
    if !isHolding(.record), !outcomes.isEmpty, recordAgainAt.map({ $0 <= now }) ?? true {
      recordAgainAt = nil
      passes.append(pass(Self.take(&outcomes, Self.recordBatch), to: .record, now: now))
    }
    // Not before the begin step has answered too: it may not have known of the pause yet.
    if outcomes.isEmpty, !isHolding(.record), !isHolding(.begin) { isRefused = false }
    if !begun.isEmpty {
      if !isHolding(.send) { sendingSince = now }
      maySendAt = Instant(milliseconds: now.milliseconds + interval)
      passes.append(pass(Self.take(&begun, begun.count), to: .send, now: now))
    }
    if mayBegin, !queue.isEmpty, maySendAt <= now, sending <= window / 2 {
      passes.append(pass(Self.take(&queue, window - sending), to: .begin, now: now))
    }
    return passes
  }

  /// What cannot be written down is sent again in the end: nothing more is begun then, nor where too much is waiting for it.
  private var mayBegin: Bool {
    !isHolding(.begin) && !isRefused && recordFailingSince == nil && outcomes.count < Self.recordBatch
  }

  /// The next moment at which `next` has something to do that nobody's answer brings.
  package var wakesAt: Instant? {
    let pace = queue.isEmpty || !mayBegin || isHolding(.send) ? nil : maySendAt
    let again = outcomes.isEmpty ? nil : recordAgainAt
    return (Array(deadlines.values) + [pace, again].compactMap { $0 }).min()
  }

  /// A step has answered the first of the lines that it holds. Returns how many outcomes will never be written down.
  @discardableResult
  package mutating func answered(_ reply: JSON, by stage: Stage, now: Instant) -> Int {
    guard var lines = held[stage], !lines.isEmpty else { return 0 }
    let line = lines.removeFirst()
    held[stage] = lines
    deadlines[stage] = lines.isEmpty ? nil : now.adding(seconds: Self.patience[stage] ?? 12)
    let isProblem = reply["problem"] != nil
    switch stage {
    case .begin where isProblem: notBegun([line])
    case .begin: if reply["outcome"] == nil { begin(line, as: reply) }
    case .send: sent(isProblem ? Self.unknown(line, "its step answered a problem") : line.outcome(of: reply), now: now)
    case .record:
      if isProblem { return recordFailed([line], now: now) }
      recordFailingSince = nil
    }
    return 0
  }

  /// How a step ended that still held lines.
  package enum End: Sendable {
    /// Its process is gone, and all that it said has been heard: it was at the first of its lines, and at no other.
    case died
    /// It said what cannot be understood: what it did with its lines is anybody's guess.
    case confused
    /// There was no process to give them to.
    case notStarted
  }

  /// The step of a stage died, hung or could not work. Before the send nothing is lost: what has begun goes back. A send without an
  /// answer is unknown. Records are tried again. Returns how many outcomes will never be written down.
  package mutating func failed(_ stage: Stage, _ end: End, _ reason: String, now: Instant) -> Int {
    let lines = held[stage] ?? []
    held[stage] = []
    deadlines[stage] = nil
    switch stage {
    case .begin:
      notBegun(lines)
      return 0
    case .send:
      for (index, line) in lines.enumerated() {
        switch end {
        case .died where index > 0: sent(Self.deferred(line), now: now)
        case .died, .confused: sent(Self.unknown(line, reason), now: now)
        case .notStarted: sent(line.with(.retry, "the notifier could not be started: \(reason)"), now: now)
        }
      }
      return 0
    case .record: return recordFailed(lines, now: now)
    }
  }

  /// The stages whose steps have had their time.
  package func overdue(now: Instant) -> [Stage] { deadlines.filter { $0.value <= now }.map(\.key) }

  /// Nobody knows whether the database marked them; nothing was sent. What it marked goes back, and what it did not as well.
  private mutating func notBegun(_ lines: [JSON]) {
    outcomes += lines.map { Self.deferred($0).withoutFacts }
    givenUp += lines
  }

  private mutating func begin(_ line: JSON, as reply: JSON) {
    if isRefused {
      outcomes.append(Self.deferred(line).withoutFacts)
    } else {
      begun.append(line.taking(["begunAt", "sendBefore"], of: reply))
    }
  }

  private mutating func sent(_ line: JSON, now: Instant) {
    outcomes.append(line.withoutFacts)
    let outcome = line["outcome"].flatMap(DeliveryOutcome.init)?.class
    if outcome != .deferred {
      meanSend = 0.8 * meanSend + 0.2 * Double(now.milliseconds - (sendingSince ?? now).milliseconds)
    }
    sendingSince = now
    // The channel does not want any more now: what is claimed of it can be claimed again.
    if outcome?.isRefusal == true {
      isRefused = true
      dropQueue()
    }
  }

  private mutating func recordFailed(_ lines: [JSON], now: Instant) -> Int {
    let since = recordFailingSince ?? now
    recordFailingSince = since
    guard now < since.adding(seconds: Self.recordPatience) else {
      recordFailingSince = nil
      return lines.count
    }
    outcomes = lines + outcomes
    recordAgainAt = now.adding(seconds: 1)
    return 0
  }

  private mutating func pass(_ lines: [JSON], to stage: Stage, now: Instant) -> Pass {
    if !isHolding(stage) { deadlines[stage] = now.adding(seconds: Self.patience[stage] ?? 12) }
    held[stage, default: []] += lines
    return Pass(stage == .send ? lines : lines.map(\.withoutFacts), to: stage)
  }

  private static func take(_ lines: inout [JSON], _ count: Int) -> [JSON] {
    defer { lines.removeFirst(min(count, lines.count)) }
    return Array(lines.prefix(count))
  }

  private static func unknown(_ line: JSON, _ reason: String) -> JSON {
    line.with(.unknown, "the notifier gave no answer: \(reason)")
  }

  private static func deferred(_ line: JSON) -> JSON { line.with(.deferred, "begun, and put back before it was sent") }
}

extension JSON {
  /// The same delivery without the facts of its event.
  fileprivate var withoutFacts: JSON { setting("payload", [:]) }

  fileprivate func with(_ class: DeliveryOutcome.Class, _ reason: String) -> JSON {
    setting("outcome", DeliveryOutcome(`class`, reason: reason).document)
  }

  fileprivate func taking(_ keys: [String], of other: JSON) -> JSON {
    keys.reduce(self) { line, key in other[key].map { line.setting(key, $0) } ?? line }
  }

  /// The same delivery with the outcome that a notifier's reply gives it; unknown where the reply speaks of another.
  fileprivate func outcome(of reply: JSON) -> JSON {
    if reply["id"] != self["id"] { return with(.unknown, "the notifier answered for another delivery") }
    return reply["outcome"].map { setting("outcome", $0) } ?? self
  }
}
