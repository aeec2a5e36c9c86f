import Deliveries
import Wire

/// The way of one channel's deliveries through its steps: begin, send, record. Begun and recorded in batches, sent in order and
/// no faster than the channel's pace. A pure state machine; the loop around it moves the deliveries and reads the clock.
///
/// No more is begun than can soon be sent: what is begun counts as sent when its worker dies. The facts of an event are for the
/// notifier alone: the other two steps, which look up and write down, get the deliveries without them.
package struct Lane: Sendable {
  package enum Stage: Int, Sendable, CaseIterable {
    case begin, send, record
  }

  /// Deliveries for the step of a stage.
  package struct Pass: Sendable, Equatable {
    package let deliveries: [Delivery]
    package let stage: Stage

    package init(_ deliveries: [Delivery], to stage: Stage) {
      self.deliveries = deliveries
      self.stage = stage
    }
  }

  /// How long a step may take to answer a delivery, in seconds. The send step bounds itself at 10 s; this is for one that hangs.
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
  package private(set) var queue: [Delivery] = []
  private var begun: [Delivery] = []
  /// Claimed and given up: it can be claimed again, at no cost.
  private var givenUp: [Delivery] = []
  /// With outcomes that are not written down yet.
  private var outcomes: [Delivery] = []
  /// The channel wants no more now, and not everybody knows it yet: nothing is begun meanwhile.
  private var isRefused = false
  /// What each step holds, in the order in which it will answer, and until when it must.
  private var held: [Stage: [Delivery]] = [:]
  private var deadlines: [Stage: Instant] = [:]
  /// Since when the send step is at the first of its deliveries.
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

  package mutating func add(_ deliveries: [Delivery]) { queue += deliveries }

  /// Gives up what has not begun.
  package mutating func dropQueue() {
    givenUp += queue
    queue = []
  }

  /// What has been given up since the last call: its leases can be given back.
  package mutating func takeGivenUp() -> [Delivery] {
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

  /// A step has answered the first of the deliveries that it holds: nil stands for a problem. Returns how many outcomes will
  /// never be written down.
  @discardableResult
  package mutating func answered(_ reply: StepReply?, by stage: Stage, now: Instant) -> Int {
    guard isHolding(stage), let delivery = held[stage]?.removeFirst() else { return 0 }
    deadlines[stage] = isHolding(stage) ? now.adding(seconds: Self.patience[stage] ?? 12) : nil
    switch (stage, reply) {
    case (.begin, nil): notBegun([delivery])
    case (.begin, let reply?): if reply.outcome == nil { begin(delivery, as: reply) }
    case (.send, nil): sent(delivery, Self.unknown("its step answered a problem").document, now: now)
    case (.send, let reply?) where reply.id != delivery.id.text:
      let outcome = DeliveryOutcome(.unknown, reason: "the notifier answered for another delivery")
      sent(delivery, outcome.document, now: now)
    case (.send, let reply?): sent(delivery, reply.outcome, now: now)
    case (.record, nil): return recordFailed([delivery], now: now)
    case (.record, _?): recordFailingSince = nil
    }
    return 0
  }

  /// The step of a stage died, hung or could not work. Before the send nothing is lost: what has begun goes back. A send without an
  /// answer is unknown. Records are tried again. Returns how many outcomes will never be written down.
  package mutating func failed(_ stage: Stage, _ end: StepEnd, _ reason: String, now: Instant) -> Int {
    let deliveries = held[stage] ?? []
    held[stage] = []
    deadlines[stage] = nil
    switch stage {
    case .begin:
      notBegun(deliveries)
      return 0
    case .send:
      for (index, delivery) in deliveries.enumerated() {
        switch end {
        case .died where index > 0: sent(delivery, Self.deferred.document, now: now)
        case .died, .confused: sent(delivery, Self.unknown(reason).document, now: now)
        case .notStarted:
          let outcome = DeliveryOutcome(.retry, reason: "the notifier could not be started: \(reason)")
          sent(delivery, outcome.document, now: now)
        }
      }
      return 0
    case .record: return recordFailed(deliveries, now: now)
    }
  }

  /// The stages whose steps have had their time.
  package func overdue(now: Instant) -> [Stage] { deadlines.filter { $0.value <= now }.map(\.key) }

  /// Nobody knows whether the database marked them; nothing was sent. What it marked goes back, and what it did not as well.
  private mutating func notBegun(_ deliveries: [Delivery]) {
    outcomes += deliveries.map { $0.ended(Self.deferred.document) }
    givenUp += deliveries
  }

  private mutating func begin(_ delivery: Delivery, as reply: StepReply) {
    if isRefused {
      outcomes.append(delivery.ended(Self.deferred.document))
    } else {
      var delivery = delivery
      if let begunAt = reply.begunAt { delivery = delivery.adding("begunAt", begunAt) }
      if let limit = reply.sendBefore { delivery = delivery.adding("sendBefore", limit) }
      begun.append(delivery)
    }
  }

  /// `outcome` is nil where the notifier passed the delivery on without one: delivery-record says what that means.
  private mutating func sent(_ delivery: Delivery, _ outcome: JSON?, now: Instant) {
    outcomes.append(delivery.ended(outcome))
    let outcomeClass = outcome.flatMap(DeliveryOutcome.Class.init(of:))
    if outcomeClass != .deferred {
      meanSend = 0.8 * meanSend + 0.2 * Double(now.milliseconds - (sendingSince ?? now).milliseconds)
    }
    sendingSince = now
    // The channel does not want any more now: what is claimed of it can be claimed again.
    if outcomeClass?.isRefusal == true {
      isRefused = true
      dropQueue()
    }
  }

  private mutating func recordFailed(_ deliveries: [Delivery], now: Instant) -> Int {
    let since = recordFailingSince ?? now
    recordFailingSince = since
    guard now < since.adding(seconds: Self.recordPatience) else {
      recordFailingSince = nil
      return deliveries.count
    }
    outcomes = deliveries + outcomes
    recordAgainAt = now.adding(seconds: 1)
    return 0
  }

  private mutating func pass(_ deliveries: [Delivery], to stage: Stage, now: Instant) -> Pass {
    if !isHolding(stage) { deadlines[stage] = now.adding(seconds: Self.patience[stage] ?? 12) }
    held[stage, default: []] += deliveries
    // What is recorded has lost its facts already, in `ended`.
    return Pass(stage == .begin ? deliveries.map(\.withoutFacts) : deliveries, to: stage)
  }

  private static func take(_ deliveries: inout [Delivery], _ count: Int) -> [Delivery] {
    defer { deliveries.removeFirst(min(count, deliveries.count)) }
    return Array(deliveries.prefix(count))
  }

  private static func unknown(_ reason: String) -> DeliveryOutcome {
    DeliveryOutcome(.unknown, reason: "the notifier gave no answer: \(reason)")
  }

  private static let deferred = DeliveryOutcome(.deferred, reason: "begun, and put back before it was sent")
}

extension Delivery {
  /// As it is recorded: without the facts of its event, with what happened to it.
  fileprivate func ended(_ outcome: JSON?) -> Delivery {
    outcome.map { withoutFacts.adding("outcome", $0) } ?? withoutFacts
  }
}
