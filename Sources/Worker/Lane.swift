import Deliveries
import Wire

/// The pipeline of one channel: deliveries pass through the steps begin, send and record. They are begun and recorded
/// in batches, and sent in order, no faster than the channel's pace. A pure state machine: the loop around it moves the
/// deliveries and reads the clock.
///
/// A lane begins only deliveries that it can send soon, because a delivery that has begun counts as sent if its worker
/// dies. Only the notifier gets the facts of an event. The other two steps get the deliveries without them.
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

  /// The time limit of a step for one delivery, in seconds. The send step limits itself to 10 s; this limit catches one
  /// that hangs.
  private static let timeLimits = [Stage.begin: 12, .send: 15, .record: 12]
  /// How long a failed record is retried, in seconds. A repeated message is worse than a late record.
  private static let recordRetrySeconds = 600
  private static let recordBatch = 100
  private static let largestWindow = 64
  /// How many milliseconds of sending are begun ahead.
  private static let ahead = 50.0

  package let capacity: Int
  /// The minimum time between two sends, in milliseconds; 0 for no limit.
  package let interval: Int
  /// Deliveries that are claimed and not begun.
  package private(set) var queue: [Delivery] = []
  private var begun: [Delivery] = []
  /// Claimed deliveries that this lane has given up. They can be claimed again, and no try is counted.
  private var givenUp: [Delivery] = []
  /// Deliveries whose outcomes have not been recorded.
  private var outcomes: [Delivery] = []
  /// True if the channel refuses deliveries for now and this has not been recorded. Nothing is begun until it has.
  private var isRefused = false
  /// The deliveries that each step holds, in the order in which it will reply, and the deadline for its next reply.
  private var held: [Stage: [Delivery]] = [:]
  private var deadlines: [Stage: Instant] = [:]
  /// When the send step began with the first of its deliveries.
  private var sendingSince: Instant?
  private var maySendAt = Instant(milliseconds: 0)
  /// The moving average of the time that a send takes, in milliseconds.
  private var meanSend = 250.0
  private var recordAgainAt: Instant?
  /// True if records fail, except for rows that another session has locked: such rows cannot be claimed again either.
  private var isRecordFailing = false
  /// When the record of an outcome first failed, by delivery.
  private var failedSince: [UUIDText: Instant] = [:]

  package init(capacity: Int, interval: Int = 0) {
    self.capacity = capacity
    self.interval = interval
  }

  private var heldCount: Int { held.values.reduce(0) { $0 + $1.count } }
  /// How many more deliveries may be claimed for this lane. It is 0 while outcomes cannot be recorded: their leases may
  /// end, and a claim by another worker makes a late record void.
  package var freeCapacity: Int {
    isRecordFailing ? 0 : max(0, aim - queue.count - begun.count - (held[.begin]?.count ?? 0) - sending)
  }
  /// The maximum number of deliveries that the lane holds: no more than can be sent in half of the shortest lease.
  package var aim: Int { interval > 0 ? capacity : min(capacity, max(1, Int(15_000 / max(meanSend, 1)))) }
  package var isIdle: Bool { queue.isEmpty && begun.isEmpty && outcomes.isEmpty && heldCount == 0 }
  private var sending: Int { held[.send]?.count ?? 0 }

  /// How many deliveries may be begun and not sent: one if there is a pace, else as many as are sent in `ahead` ms.
  private var window: Int {
    interval > 0 ? 1 : min(max(Int(Self.ahead / max(meanSend, 0.1)), 1), Self.largestWindow)
  }

  /// True if the step of a stage holds deliveries.
  package func isHolding(_ stage: Stage) -> Bool { held[stage]?.isEmpty == false }

  /// Adds claimed deliveries.
  package mutating func add(_ deliveries: [Delivery]) { queue += deliveries }

  /// Gives up all deliveries that have not begun.
  package mutating func dropQueue() {
    givenUp += queue
    queue = []
  }

  /// Returns the deliveries that have been given up since the last call. The caller must release their claims.
  package mutating func takeGivenUp() -> [Delivery] {
    defer { givenUp = [] }
    return givenUp
  }

  /// Returns the deliveries to pass to the steps now.
  package mutating func next(now: Instant) -> [Pass] {
    var passes: [Pass] = []
    if !isHolding(.record), !outcomes.isEmpty, recordAgainAt.map({ $0 <= now }) ?? true {
      recordAgainAt = nil
      passes.append(pass(Self.take(&outcomes, Self.recordBatch), to: .record, now: now))
    }
    // The begin step must have replied too, because it may not have seen the pause yet.
    let isRecorded = outcomes.allSatisfy { failedSince[$0.id] != nil }
    if isRecorded, !isHolding(.record), !isHolding(.begin) { isRefused = false }
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

  /// False, among other cases, while records fail, because unrecorded deliveries are sent again in the end, and while
  /// too many outcomes wait to be recorded.
  private var mayBegin: Bool {
    !isHolding(.begin) && !isRefused && !isRecordFailing && outcomes.count < Self.recordBatch
  }

  /// The next time at which `next` or `overdue` may have something to do without a reply of a step.
  package var wakesAt: Instant? {
    let pace = queue.isEmpty || !mayBegin || isHolding(.send) ? nil : maySendAt
    let again = outcomes.isEmpty ? nil : recordAgainAt
    return (Array(deadlines.values) + [pace, again].compactMap { $0 }).min()
  }

  /// Takes the reply of a step about the first of the deliveries that it holds; nil stands for a problem. `isBusy` is
  /// true if the problem is a lock of another session. Returns how many outcomes will never be recorded.
  @discardableResult
  package mutating func answered(_ reply: StepReply?, isBusy: Bool = false, by stage: Stage, now: Instant) -> Int {
    guard isHolding(stage), let delivery = held[stage]?.removeFirst() else { return 0 }
    deadlines[stage] = isHolding(stage) ? now.adding(seconds: Self.timeLimits[stage] ?? 12) : nil
    switch (stage, reply) {
    case (.begin, nil): notBegun([delivery], now: now)
    case (.begin, let reply?): if reply.outcome == nil { begin(delivery, as: reply) }
    case (.send, nil): sent(delivery, Self.unknown("the step replied with a problem").document, now: now)
    case (.send, let reply?) where reply.id != delivery.id.text:
      let outcome = DeliveryOutcome(.unknown, reason: "the notifier replied about another delivery")
      sent(delivery, outcome.document, now: now)
    case (.send, let reply?): sent(delivery, reply.outcome, now: now)
    case (.record, nil):
      let lost = recordFailed([delivery], now: now)
      isRecordFailing = lost == 0 && !isBusy
      return lost
    case (.record, _?):
      failedSince[delivery.id] = nil
      isRecordFailing = false
    }
    return 0
  }

  /// Handles a step that died, hung or could not be started. Before the send nothing is lost: the deliveries are
  /// released. The outcome of a send without a reply is unknown. Records are retried. Returns how many outcomes will
  /// never be recorded.
  package mutating func failed(_ stage: Stage, _ end: StepEnd, _ reason: String, now: Instant) -> Int {
    let deliveries = held[stage] ?? []
    held[stage] = []
    deadlines[stage] = nil
    switch stage {
    case .begin:
      notBegun(deliveries, now: now)
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
    case .record:
      let lost = recordFailed(deliveries, now: now)
      isRecordFailing = !failedSince.isEmpty
      return lost
    }
  }

  /// The stages whose steps have exceeded their time limit.
  package func overdue(now: Instant) -> [Stage] { deadlines.filter { $0.value <= now }.map(\.key) }

  /// Nothing was sent, but the database may have marked the deliveries as begun. Recording them as deferred undoes the
  /// mark, and giving them up releases the others. Nothing is begun for a second, so that a database that refuses, such
  /// as one whose disk is full, is not asked hundreds of times a second.
  private mutating func notBegun(_ deliveries: [Delivery], now: Instant) {
    maySendAt = max(maySendAt, now.adding(seconds: 1))
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

  /// `outcome` is nil if the notifier returned the delivery without one; delivery-record decides what that means.
  private mutating func sent(_ delivery: Delivery, _ outcome: JSON?, now: Instant) {
    outcomes.append(delivery.ended(outcome))
    let outcomeClass = outcome.flatMap(DeliveryOutcome.Class.init(of:))
    if outcomeClass != .deferred {
      meanSend = 0.8 * meanSend + 0.2 * Double(now.milliseconds - (sendingSince ?? now).milliseconds)
    }
    sendingSince = now
    // The channel refuses deliveries for now, so the claimed ones are given up and can be claimed again.
    if outcomeClass?.isRefusal == true {
      isRefused = true
      dropQueue()
    }
  }

  private mutating func recordFailed(_ deliveries: [Delivery], now: Instant) -> Int {
    for delivery in deliveries where failedSince[delivery.id] == nil { failedSince[delivery.id] = now }
    let kept = deliveries.filter { now < (failedSince[$0.id] ?? now).adding(seconds: Self.recordRetrySeconds) }
    let keptIDs = Set(kept.map(\.id))
    for delivery in deliveries where !keptIDs.contains(delivery.id) { failedSince[delivery.id] = nil }
    outcomes = kept + outcomes
    recordAgainAt = kept.isEmpty ? recordAgainAt : now.adding(seconds: 1)
    return deliveries.count - kept.count
  }

  private mutating func pass(_ deliveries: [Delivery], to stage: Stage, now: Instant) -> Pass {
    if !isHolding(stage) { deadlines[stage] = now.adding(seconds: Self.timeLimits[stage] ?? 12) }
    held[stage, default: []] += deliveries
    // For the record step, `ended` has already removed the facts.
    return Pass(stage == .begin ? deliveries.map(\.withoutFacts) : deliveries, to: stage)
  }

  private static func take(_ deliveries: inout [Delivery], _ count: Int) -> [Delivery] {
    defer { deliveries.removeFirst(min(count, deliveries.count)) }
    return Array(deliveries.prefix(count))
  }

  private static func unknown(_ reason: String) -> DeliveryOutcome {
    DeliveryOutcome(.unknown, reason: "the notifier did not reply: \(reason)")
  }

  private static let deferred = DeliveryOutcome(.deferred, reason: "begun, but not sent")
}

extension Delivery {
  /// The delivery as it is recorded: with its outcome, and without the facts of its event.
  fileprivate func ended(_ outcome: JSON?) -> Delivery {
    outcome.map { withoutFacts.adding("outcome", $0) } ?? withoutFacts
  }
}
