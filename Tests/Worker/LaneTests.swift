import Deliveries
import Testing
import Wire
import Worker

/// One file of more than 300 lines: the tests share a lane and its deliveries.
@Suite("The lane of a channel") struct LaneTests {
  private let start = Instant(milliseconds: 1_000_000)

  private func delivery(_ id: Int, payload: JSON = ["customerName": "Ana"]) -> Delivery {
    let document: JSON = [
      "id": .string("00000000-0000-4000-8000-\(String(100_000_000_000 + id))"), "fence": 1, "attempt": 1,
      "channel": "slack", "recipient": "default", "eventType": "lead.created", "eventAt": "2026-11-23T00:00:00.000Z",
      "payload": payload,
    ]
    guard let delivery = Delivery(document) else { preconditionFailure("the document is no delivery") }
    return delivery
  }
  /// The same delivery without its facts, as the steps begin and record get it.
  private func bare(_ id: Int) -> Delivery { delivery(id, payload: [:]) }
  private func sent(_ id: Int, _ outcome: DeliveryOutcome.Class = .delivered) -> Delivery {
    bare(id).ended(outcome)
  }
  private func reply(_ delivery: Delivery) -> StepReply? { StepReply(delivery.document) }
  private func later(_ milliseconds: Int) -> Instant { Instant(milliseconds: start.milliseconds + milliseconds) }

  /// Returns a lane with this many deliveries. Its earlier sends took no time, so it begins many at once.
  private func fastLane(_ count: Int) -> Lane {
    var lane = Lane(capacity: 1000)
    for id in 0..<60 { complete(id, in: &lane) }
    lane.add((100..<(100 + count)).map { delivery($0) })
    return lane
  }

  /// Takes a delivery through all three steps.
  private func complete(_ id: Int, in lane: inout Lane) {
    lane.add([delivery(id)])
    _ = lane.next(now: start)
    lane.answered(reply(delivery(id)), by: .begin, now: start)
    _ = lane.next(now: start)
    lane.answered(reply(sent(id)), by: .send, now: start)
    _ = lane.next(now: start)
    lane.answered(reply(sent(id)), by: .record, now: start)
  }

  @Test("takes a delivery through begin, send and record, and begins the next while one is recorded") func allSteps() {
    var lane = Lane(capacity: 2)
    lane.add([delivery(1), delivery(2)])
    #expect(lane.freeCapacity == 0)
    #expect(lane.next(now: start) == [Lane.Pass([bare(1)], to: .begin)])
    #expect(lane.next(now: start) == [])
    var (begun, marked) = (delivery(1), bare(1))
    begun.begin(at: start, sendBefore: later(17_000))
    marked.begin(at: start, sendBefore: later(17_000))
    lane.answered(reply(marked), by: .begin, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([begun], to: .send)])
    lane.answered(reply(sent(1)), by: .send, now: start)
    #expect(lane.freeCapacity == 1)
    let passes = lane.next(now: start)
    #expect(passes.map(\.stage) == [.record, .begin] && passes[1].deliveries == [bare(2)])
    #expect(passes[0].deliveries == [marked.ended(.delivered)])
    lane.answered(reply(sent(1)), by: .record, now: start)
    lane.answered(reply(delivery(2)), by: .begin, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([delivery(2)], to: .send)])
    lane.answered(reply(sent(2)), by: .send, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([sent(2)], to: .record)])
    #expect(!lane.isIdle)
    lane.answered(reply(sent(2)), by: .record, now: start)
    #expect(lane.isIdle && lane.wakesAt == nil)
  }

  @Test("if sending is fast, many deliveries go through each step together") func batches() {
    var lane = fastLane(100)
    #expect(lane.next(now: start) == [Lane.Pass((100..<164).map { bare($0) }, to: .begin)])
    for id in 100..<164 { lane.answered(reply(delivery(id)), by: .begin, now: start) }
    #expect(lane.next(now: start) == [Lane.Pass((100..<164).map { delivery($0) }, to: .send)])
    for id in 100..<110 {
      lane.answered(reply(sent(id)), by: .send, now: start)
      _ = lane.next(now: start)
    }
    // The first outcome was passed to record alone; those that arrived while it was recorded go together.
    lane.answered(reply(sent(100)), by: .record, now: start)
    #expect(lane.next(now: start).first == Lane.Pass((101..<110).map { sent($0) }, to: .record))
  }

  @Test("if sending is slow, one delivery is begun at a time") func window() {
    var lane = fastLane(100)
    for (index, id) in (100..<130).enumerated() {
      let now = later(index * 1000)
      for pass in lane.next(now: now) where pass.stage == .begin {
        for delivery in pass.deliveries { lane.answered(reply(delivery), by: .begin, now: now) }
      }
      _ = lane.next(now: now)
      lane.answered(reply(sent(id)), by: .send, now: later(index * 1000 + 1000))
    }
    let begun = lane.next(now: later(40_000)).filter { $0.stage == .begin }
    #expect(begun.allSatisfy { $0.deliveries.count == 1 })
  }

  @Test("if the send step dies, only its first delivery is unknown; if it is confused, all are")
  func sendStepEnds() {
    let ends: [(StepEnd, [DeliveryOutcome.Class])] = [
      (.died, [.unknown, .deferred, .deferred]), (.confused, [.unknown, .unknown, .unknown]),
      (.notStarted, [.retry, .retry, .retry]),
    ]
    for (end, outcomes) in ends {
      var lane = fastLane(3)
      _ = lane.next(now: start)
      for id in 100..<103 { lane.answered(reply(delivery(id)), by: .begin, now: start) }
      _ = lane.next(now: start)
      _ = lane.failed(.send, end, "signal 9", now: start)
      let record = lane.next(now: start).first
      #expect(record?.stage == .record)
      #expect(record?.deliveries.map { $0.outcome?.class } == outcomes)
    }
  }

  @Test("a reply for another delivery makes the outcome unknown") func mixedUp() {
    var lane = fastLane(2)
    _ = lane.next(now: start)
    for id in 100..<102 { lane.answered(reply(delivery(id)), by: .begin, now: start) }
    _ = lane.next(now: start)
    lane.answered(reply(sent(101)), by: .send, now: start)
    let record = lane.next(now: start).first
    #expect(record?.deliveries.map { $0.id } == [delivery(100).id])
    #expect(record?.deliveries.map { $0.outcome?.class } == [.unknown])
  }

  @Test("sends keep the interval of the channel, and each is begun only when it is due") func pace() {
    var lane = Lane(capacity: 10, interval: 1000)
    lane.add((1...3).map { delivery($0) })
    var sends: [Int] = []
    for tick in stride(from: 0, through: 5000, by: 50) {
      for pass in lane.next(now: later(tick)) {
        #expect(pass.deliveries.count == 1)
        if pass.stage == .send { sends.append(tick) }
        for delivery in pass.deliveries {
          let result = pass.stage == .send ? delivery.ended(.delivered) : delivery
          lane.answered(reply(result), by: pass.stage, now: later(tick))
        }
      }
    }
    #expect(sends.count == 3 && zip(sends, sends.dropFirst()).allSatisfy { $1 - $0 >= 1000 })
    #expect(lane.isIdle)
  }

  @Test("a delivery that begin reports as lost is not sent") func lost() {
    var lane = Lane(capacity: 2)
    lane.add([delivery(1)])
    _ = lane.next(now: start)
    lane.answered(reply(sent(1, .lost)), by: .begin, now: start)
    #expect(lane.isIdle && lane.next(now: start) == [])
  }

  @Test("if begin fails, its deliveries return to the queue without an attempt") func beginFails() {
    for problem in [false, true] {
      var lane = Lane(capacity: 2)
      lane.add([delivery(1)])
      _ = lane.next(now: start)
      if problem {
        lane.answered(nil, by: .begin, now: start)
      } else {
        _ = lane.failed(.begin, .died, "signal 9", now: start)
      }
      #expect(lane.takeGivenUp() == [delivery(1)])
      #expect(lane.next(now: start) == [Lane.Pass([sent(1, .deferred)], to: .record)] || lane.isHolding(.record))
      lane.add([delivery(2)])
      #expect(lane.next(now: later(999)) == [], "a database that refuses is asked once a second")
      #expect(lane.next(now: later(1000)) == [Lane.Pass([bare(2)], to: .begin)])
    }
  }

  @Test("a send without a reply is recorded as unknown") func sendFails() {
    for problem in [false, true] {
      var lane = Lane(capacity: 2)
      lane.add([delivery(1)])
      _ = lane.next(now: start)
      lane.answered(reply(delivery(1)), by: .begin, now: start)
      _ = lane.next(now: start)
      if problem {
        lane.answered(nil, by: .send, now: start)
      } else {
        _ = lane.failed(.send, .died, "signal 9", now: start)
      }
      let pass = lane.next(now: start).first
      #expect(pass?.stage == .record && pass?.deliveries.map { $0.outcome?.class } == [.unknown])
    }
  }

  @Test(
    "after a refusal nothing is begun until it is recorded; claimed and begun deliveries return to the queue",
    arguments: [DeliveryOutcome.Class.throttled, .config])
  func refused(_ outcome: DeliveryOutcome.Class) {
    var lane = fastLane(200)
    _ = lane.next(now: start)
    for id in 100..<164 { lane.answered(reply(delivery(id)), by: .begin, now: start) }
    _ = lane.next(now: start)
    for id in 100..<150 { lane.answered(reply(sent(id)), by: .send, now: start) }
    let next = lane.next(now: start)
    #expect(next.map(\.stage) == [.record, .begin])
    lane.answered(reply(sent(150, outcome)), by: .send, now: start)
    #expect(lane.queue.isEmpty && lane.takeGivenUp().count == 86)
    // The notifier itself defers the deliveries that it holds. Those that are begun only now have not been sent.
    for id in 151..<164 { lane.answered(reply(sent(id, .deferred)), by: .send, now: start) }
    for delivery in next[1].deliveries { lane.answered(reply(delivery), by: .begin, now: start) }
    lane.add([delivery(900)])
    #expect(lane.next(now: start) == [])
    for delivery in next[0].deliveries { lane.answered(reply(delivery), by: .record, now: start) }
    let record = lane.next(now: start)
    #expect(record.map(\.stage) == [.record])
    let outcomes = record[0].deliveries.map { $0.outcome?.class }
    #expect(outcomes == [outcome] + [DeliveryOutcome.Class](repeating: .deferred, count: 13 + next[1].deliveries.count))
    for delivery in record[0].deliveries { lane.answered(reply(delivery), by: .record, now: start) }
    #expect(lane.next(now: start) == [Lane.Pass([bare(900)], to: .begin)])
  }

  @Test("a delivery that was begun before a refusal returns to the queue, even if the refusal is already recorded")
  func lateBegin() {
    var lane = fastLane(100)
    lane.add([delivery(900)])
    _ = lane.next(now: start)
    for id in 100..<164 { lane.answered(reply(delivery(id)), by: .begin, now: start) }
    _ = lane.next(now: start)
    for id in 100..<163 { lane.answered(reply(sent(id)), by: .send, now: start) }
    let next = lane.next(now: start)
    #expect(next.map(\.stage) == [.record, .begin])
    lane.answered(reply(sent(163, .throttled)), by: .send, now: start)
    for delivery in next[0].deliveries { lane.answered(reply(delivery), by: .record, now: start) }
    for delivery in lane.next(now: start)[0].deliveries { lane.answered(reply(delivery), by: .record, now: start) }
    #expect(lane.next(now: start) == [])
    for delivery in next[1].deliveries { lane.answered(reply(delivery), by: .begin, now: start) }
    let record = lane.next(now: start)
    #expect(record.map(\.stage) == [.record])
    #expect(record[0].deliveries.allSatisfy { $0.outcome?.class == .deferred })
  }

  @Test("a failed record is retried every second for ten minutes") func recordFails() {
    var lane = Lane(capacity: 2)
    lane.add([delivery(1)])
    _ = lane.next(now: start)
    lane.answered(reply(delivery(1)), by: .begin, now: start)
    _ = lane.next(now: start)
    lane.answered(reply(sent(1)), by: .send, now: start)
    _ = lane.next(now: start)
    lane.answered(nil, by: .record, now: start)
    #expect(lane.next(now: start) == [] && lane.wakesAt == start.adding(seconds: 1))
    #expect(lane.next(now: start.adding(seconds: 1)) == [Lane.Pass([sent(1)], to: .record)])
    #expect(lane.failed(.record, .died, "gone", now: start.adding(seconds: 599)) == 0)
    #expect(lane.next(now: start.adding(seconds: 600)) == [Lane.Pass([sent(1)], to: .record)])
    #expect(lane.failed(.record, .died, "gone", now: start.adding(seconds: 601)) == 1)
    #expect(lane.isIdle && lane.freeCapacity == 2)
  }

  @Test("while recording fails nothing more is begun or claimed, because it would be sent again")
  func recordFailing() {
    var lane = Lane(capacity: 10)
    lane.add([delivery(1), delivery(2)])
    _ = lane.next(now: start)
    lane.answered(reply(delivery(1)), by: .begin, now: start)
    _ = lane.next(now: start)
    lane.answered(reply(sent(1)), by: .send, now: start)
    #expect(lane.next(now: start).map(\.stage) == [.record, .begin])
    _ = lane.failed(.record, .died, "gone", now: start)
    lane.answered(reply(delivery(2)), by: .begin, now: start)
    #expect(lane.next(now: start).map(\.stage) == [.send] && lane.freeCapacity == 0)
    lane.add([delivery(3)])
    lane.answered(reply(sent(2)), by: .send, now: start)
    let again = start.adding(seconds: 1)
    #expect(lane.next(now: again) == [Lane.Pass([sent(1), sent(2)], to: .record)])
    for id in 1...2 { lane.answered(reply(sent(id)), by: .record, now: again) }
    #expect(lane.next(now: again).map(\.stage) == [.begin] && lane.freeCapacity == 9)
  }

  @Test("an outcome whose row another session has locked delays no other delivery, and is given up after ten minutes")
  func lockedRow() {
    var lane = Lane(capacity: 10)
    lane.add([delivery(1), delivery(2)])
    _ = lane.next(now: start)
    lane.answered(reply(delivery(1)), by: .begin, now: start)
    _ = lane.next(now: start)
    lane.answered(reply(sent(1)), by: .send, now: start)
    #expect(lane.next(now: start).map(\.stage) == [.record, .begin])
    #expect(lane.answered(nil, isBusy: true, by: .record, now: start) == 0 && lane.freeCapacity == 9)
    lane.answered(reply(delivery(2)), by: .begin, now: start)
    #expect(lane.next(now: start).map(\.stage) == [.send])
    lane.answered(reply(sent(2)), by: .send, now: start)
    lane.add([delivery(3)])
    let again = start.adding(seconds: 1)
    #expect(lane.next(now: again) == [Lane.Pass([sent(1), sent(2)], to: .record), Lane.Pass([bare(3)], to: .begin)])
    lane.answered(nil, isBusy: true, by: .record, now: again)
    lane.answered(reply(sent(2)), by: .record, now: again)
    let end = start.adding(seconds: 600)
    #expect(lane.next(now: end) == [Lane.Pass([sent(1)], to: .record)])
    #expect(lane.answered(nil, isBusy: true, by: .record, now: end) == 1)
  }

  @Test("a step that hangs becomes overdue after 15 seconds") func hangs() {
    var lane = Lane(capacity: 2)
    lane.add([delivery(1)])
    _ = lane.next(now: start)
    lane.answered(reply(delivery(1)), by: .begin, now: start)
    _ = lane.next(now: start)
    #expect(lane.overdue(now: start.adding(seconds: 14)) == [])
    #expect(lane.overdue(now: start.adding(seconds: 15)) == [.send])
  }
}

extension Delivery {
  fileprivate func ended(_ class: DeliveryOutcome.Class) -> Delivery {
    var delivery = self
    delivery.outcome = DeliveryOutcome(`class`)
    return delivery
  }
}
