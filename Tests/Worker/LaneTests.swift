import Deliveries
import Testing
import Wire
import Worker

@Suite("The lane of a channel") struct LaneTests {
  private let start = Instant(milliseconds: 1_000_000)

  private func line(_ id: Int) -> JSON { ["id": .string("\(id)"), "payload": ["customerName": "Ana"]] }
  /// The same as begin and record get it: without the facts.
  private func bare(_ id: Int) -> JSON { ["id": .string("\(id)"), "payload": [:]] }
  private func sent(_ id: Int, _ outcome: String = "delivered") -> JSON {
    bare(id).setting("outcome", ["class": .string(outcome)])
  }
  private func later(_ milliseconds: Int) -> Instant { Instant(milliseconds: start.milliseconds + milliseconds) }

  /// A lane whose sends take no time: it begins many at once.
  private func quick(_ lines: Int) -> Lane {
    var lane = Lane(capacity: 1000)
    for id in 0..<60 { lead(id, through: &lane) }
    lane.add((100..<(100 + lines)).map(line))
    return lane
  }

  private func lead(_ id: Int, through lane: inout Lane) {
    lane.add([line(id)])
    _ = lane.next(now: start)
    lane.answered(line(id), by: .begin, now: start)
    _ = lane.next(now: start)
    lane.answered(sent(id), by: .send, now: start)
    _ = lane.next(now: start)
    lane.answered(sent(id), by: .record, now: start)
  }

  @Test("leads a delivery through begin, send and record, and begins the next meanwhile") func wholeWay() {
    var lane = Lane(capacity: 2)
    lane.add([line(1), line(2)])
    #expect(lane.room == 0)
    #expect(lane.next(now: start) == [Lane.Pass([bare(1)], to: .begin)])
    #expect(lane.next(now: start) == [])
    let stamps: [JSON.Member] = [
      .init("begunAt", "2026-11-23T00:00:00.000Z"), .init("sendBefore", "2026-11-23T00:00:17.000Z"),
    ]
    let begun = stamps.reduce(bare(1)) { $0.setting($1.key, $1.value) }
    lane.answered(begun, by: .begin, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([stamps.reduce(line(1)) { $0.setting($1.key, $1.value) }], to: .send)])
    lane.answered(sent(1), by: .send, now: start)
    #expect(lane.room == 1)
    let recorded = sent(1).setting("begunAt", stamps[0].value).setting("sendBefore", stamps[1].value)
    let passes = lane.next(now: start)
    #expect(passes.map(\.stage) == [.record, .begin] && passes[1].lines == [bare(2)])
    #expect(passes[0].lines.count == 1 && passes[0].lines[0]["outcome"] == recorded["outcome"])
    #expect(passes[0].lines[0]["payload"] == [:])
    lane.answered(sent(1), by: .record, now: start)
    lane.answered(line(2), by: .begin, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([line(2)], to: .send)])
    lane.answered(sent(2), by: .send, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([sent(2)], to: .record)])
    #expect(!lane.isIdle)
    lane.answered(sent(2), by: .record, now: start)
    #expect(lane.isIdle && lane.wakesAt == nil)
  }

  @Test("where sending is quick, many go through each step together") func batches() {
    var lane = quick(100)
    #expect(lane.next(now: start) == [Lane.Pass((100..<164).map(bare), to: .begin)])
    for id in 100..<164 { lane.answered(line(id), by: .begin, now: start) }
    #expect(lane.next(now: start) == [Lane.Pass((100..<164).map(line), to: .send)])
    for id in 100..<110 {
      lane.answered(sent(id), by: .send, now: start)
      _ = lane.next(now: start)
    }
    // The first went into the record alone; what came meanwhile goes together.
    lane.answered(sent(100), by: .record, now: start)
    #expect(lane.next(now: start).first == Lane.Pass((101..<110).map { sent($0) }, to: .record))
  }

  @Test("where sending is slow, no more is begun than goes out in a moment") func window() {
    var lane = quick(100)
    for (index, id) in (100..<130).enumerated() {
      let now = later(index * 1000)
      for pass in lane.next(now: now) where pass.stage == .begin {
        for line in pass.lines { lane.answered(line, by: .begin, now: now) }
      }
      _ = lane.next(now: now)
      lane.answered(sent(id), by: .send, now: later(index * 1000 + 1000))
    }
    let begun = lane.next(now: later(40_000)).filter { $0.stage == .begin }
    #expect(begun.allSatisfy { $0.lines.count == 1 })
  }

  @Test("behind a send that is never answered nothing was sent, where the step died; where it is confused, who knows")
  func dies() {
    let ends: [(Lane.End, [String])] = [
      (.died, ["unknown", "deferred", "deferred"]), (.confused, ["unknown", "unknown", "unknown"]),
      (.notStarted, ["retry", "retry", "retry"]),
    ]
    for (end, outcomes) in ends {
      var lane = quick(3)
      _ = lane.next(now: start)
      for id in 100..<103 { lane.answered(line(id), by: .begin, now: start) }
      _ = lane.next(now: start)
      _ = lane.failed(.send, end, "signal 9", now: start)
      let record = lane.next(now: start).first
      #expect(record?.stage == .record)
      #expect(record?.lines.map { $0["outcome"]?["class"]?.string } == outcomes)
    }
  }

  @Test("an answer that speaks of another delivery says nothing of this one") func mixedUp() {
    var lane = quick(2)
    _ = lane.next(now: start)
    for id in 100..<102 { lane.answered(line(id), by: .begin, now: start) }
    _ = lane.next(now: start)
    lane.answered(sent(101), by: .send, now: start)
    let record = lane.next(now: start).first
    #expect(record?.lines.map { $0["id"] } == ["100"])
    #expect(record?.lines.map { $0["outcome"]?["class"] } == ["unknown"])
  }

  @Test("no two sends are nearer than the pace, and nothing is begun before its time") func pace() {
    var lane = Lane(capacity: 10, interval: 1000)
    lane.add((1...3).map(line))
    var sends: [Int] = []
    for tick in stride(from: 0, through: 5000, by: 50) {
      for pass in lane.next(now: later(tick)) {
        #expect(pass.lines.count == 1)
        if pass.stage == .send { sends.append(tick) }
        for line in pass.lines {
          lane.answered(
            pass.stage == .send ? line.setting("outcome", ["class": "delivered"]) : line, by: pass.stage,
            now: later(tick))
        }
      }
    }
    #expect(sends.count == 3 && zip(sends, sends.dropFirst()).allSatisfy { $1 - $0 >= 1000 })
    #expect(lane.isIdle)
  }

  @Test("what was lost at the beginning is not sent") func lost() {
    var lane = Lane(capacity: 2)
    lane.add([line(1)])
    _ = lane.next(now: start)
    lane.answered(sent(1, "lost"), by: .begin, now: start)
    #expect(lane.isIdle && lane.next(now: start) == [])
  }

  @Test("a step that fails before the send costs nothing: what it may have marked goes back") func beginFails() {
    for problem in [false, true] {
      var lane = Lane(capacity: 2)
      lane.add([line(1)])
      _ = lane.next(now: start)
      if problem {
        lane.answered(["problem": [:]], by: .begin, now: start)
      } else {
        _ = lane.failed(.begin, .died, "signal 9", now: start)
      }
      #expect(lane.takeGivenUp() == [line(1)])
      #expect(lane.next(now: start) == [Lane.Pass([sent(1, "deferred")], to: .record)] || lane.isHolding(.record))
    }
  }

  @Test("a send without an answer is unknown, and recorded as such") func sendFails() {
    for problem in [false, true] {
      var lane = Lane(capacity: 2)
      lane.add([line(1)])
      _ = lane.next(now: start)
      lane.answered(line(1), by: .begin, now: start)
      _ = lane.next(now: start)
      if problem {
        lane.answered(["problem": [:]], by: .send, now: start)
      } else {
        _ = lane.failed(.send, .died, "signal 9", now: start)
      }
      let pass = lane.next(now: start).first
      #expect(pass?.stage == .record && pass?.lines.map { $0["outcome"]?["class"] } == ["unknown"])
    }
  }

  @Test(
    "a channel that wants no more now gets no more until that is written down: what is claimed is given up, what is begun goes back",
    arguments: ["throttled", "config"])
  func wantsNoMore(_ outcome: String) {
    var lane = quick(200)
    _ = lane.next(now: start)
    for id in 100..<164 { lane.answered(line(id), by: .begin, now: start) }
    _ = lane.next(now: start)
    for id in 100..<150 { lane.answered(sent(id), by: .send, now: start) }
    let next = lane.next(now: start)
    #expect(next.map(\.stage) == [.record, .begin])
    lane.answered(sent(150, outcome), by: .send, now: start)
    #expect(lane.queue.isEmpty && lane.takeGivenUp().count == 86)
    // What the notifier has of it, it gives back itself; what is only now begun, nobody has sent.
    for id in 151..<164 { lane.answered(sent(id, "deferred"), by: .send, now: start) }
    for line in next[1].lines { lane.answered(line, by: .begin, now: start) }
    lane.add([line(900)])
    #expect(lane.next(now: start) == [])
    for line in next[0].lines { lane.answered(line, by: .record, now: start) }
    let record = lane.next(now: start)
    #expect(record.map(\.stage) == [.record])
    let outcomes = record[0].lines.map { $0["outcome"]?["class"]?.string }
    #expect(outcomes == [outcome] + [String](repeating: "deferred", count: 13 + next[1].lines.count))
    for line in record[0].lines { lane.answered(line, by: .record, now: start) }
    #expect(lane.next(now: start) == [Lane.Pass([bare(900)], to: .begin)])
  }

  @Test("what was begun without knowing of the refusal goes back, even when that is written down by then")
  func lateBegin() {
    var lane = quick(100)
    lane.add([line(900)])
    _ = lane.next(now: start)
    for id in 100..<164 { lane.answered(line(id), by: .begin, now: start) }
    _ = lane.next(now: start)
    for id in 100..<163 { lane.answered(sent(id), by: .send, now: start) }
    let next = lane.next(now: start)
    #expect(next.map(\.stage) == [.record, .begin])
    lane.answered(sent(163, "throttled"), by: .send, now: start)
    for line in next[0].lines { lane.answered(line, by: .record, now: start) }
    for line in lane.next(now: start)[0].lines { lane.answered(line, by: .record, now: start) }
    #expect(lane.next(now: start) == [])
    for line in next[1].lines { lane.answered(line, by: .begin, now: start) }
    let record = lane.next(now: start)
    #expect(record.map(\.stage) == [.record])
    #expect(record[0].lines.allSatisfy { $0["outcome"]?["class"] == "deferred" })
  }

  @Test("a record that fails is tried again every second, for ten minutes") func recordFails() {
    var lane = Lane(capacity: 2)
    lane.add([line(1)])
    _ = lane.next(now: start)
    lane.answered(line(1), by: .begin, now: start)
    _ = lane.next(now: start)
    lane.answered(sent(1), by: .send, now: start)
    _ = lane.next(now: start)
    lane.answered(["problem": [:]], by: .record, now: start)
    #expect(lane.next(now: start) == [] && lane.wakesAt == start.adding(seconds: 1))
    #expect(lane.next(now: start.adding(seconds: 1)) == [Lane.Pass([sent(1)], to: .record)])
    #expect(lane.failed(.record, .died, "gone", now: start.adding(seconds: 599)) == 0)
    #expect(lane.next(now: start.adding(seconds: 600)) == [Lane.Pass([sent(1)], to: .record)])
    #expect(lane.failed(.record, .died, "gone", now: start.adding(seconds: 601)) == 1)
    #expect(lane.isIdle && lane.room == 2)
  }

  @Test("while outcomes cannot be written down nothing more is begun or claimed: it would all be sent again")
  func recordFailing() {
    var lane = Lane(capacity: 10)
    lane.add([line(1), line(2)])
    _ = lane.next(now: start)
    lane.answered(line(1), by: .begin, now: start)
    _ = lane.next(now: start)
    lane.answered(sent(1), by: .send, now: start)
    #expect(lane.next(now: start).map(\.stage) == [.record, .begin])
    _ = lane.failed(.record, .died, "gone", now: start)
    lane.answered(line(2), by: .begin, now: start)
    #expect(lane.next(now: start).map(\.stage) == [.send] && lane.room == 0)
    lane.add([line(3)])
    lane.answered(sent(2), by: .send, now: start)
    let again = start.adding(seconds: 1)
    #expect(lane.next(now: again) == [Lane.Pass([sent(1), sent(2)], to: .record)])
    for id in 1...2 { lane.answered(sent(id), by: .record, now: again) }
    #expect(lane.next(now: again).map(\.stage) == [.begin] && lane.room == 9)
  }

  @Test("a step that hangs is overdue") func hangs() {
    var lane = Lane(capacity: 2)
    lane.add([line(1)])
    _ = lane.next(now: start)
    lane.answered(line(1), by: .begin, now: start)
    _ = lane.next(now: start)
    #expect(lane.overdue(now: start.adding(seconds: 14)) == [])
    #expect(lane.overdue(now: start.adding(seconds: 15)) == [.send])
  }
}

@Suite("Which channels the settings configure") struct ConfiguredChannelsTests {
  @Test func none() { #expect(configured([:]) == []) }

  @Test("Telegram needs its token and its chat") func telegram() {
    #expect(configured(["TELEGRAM_BOT_TOKEN": "1:a"]) == [])
    #expect(configured(["TELEGRAM_BOT_TOKEN": "1:a", "TELEGRAM_CHAT_ID": "-5"]) == ["telegram -5"])
  }

  @Test("mail goes to EMAIL_TO, else to the user, else to the sender") func mail() {
    let from = ["EMAIL_HOST": "h", "EMAIL_FROM": "TrueNester <n@truenester.com>"]
    #expect(configured(from) == ["email n@truenester.com"])
    let user = from.merging(["EMAIL_USER": "u@truenester.com"]) { $1 }
    #expect(configured(user) == ["email u@truenester.com"])
    #expect(configured(from.merging(["EMAIL_USER": "smtp-user"]) { $1 }) == ["email n@truenester.com"])
    let list = user.merging(["EMAIL_TO": "a@x.com, B <b@x.com>"]) { $1 }
    #expect(configured(list) == ["email a@x.com", "email b@x.com"])
  }

  private func configured(_ settings: [String: String]) -> [String] {
    Channel.configured(by: settings).map { "\($0.name) \($0.recipient)" }
  }
}
