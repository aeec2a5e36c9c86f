import Leads
import Testing
import Wire
import Worker

@Suite("The lane of a channel") struct LaneTests {
  private let start = Instant(milliseconds: 1_000_000)

  private func line(_ id: Int) -> JSON { ["id": .string("\(id)")] }
  private func sent(_ id: Int, _ outcome: String = "delivered") -> JSON {
    line(id).setting("outcome", ["class": .string(outcome)])
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
    #expect(lane.next(now: start) == [Lane.Pass([line(1)], to: .begin)])
    #expect(lane.next(now: start) == [])
    lane.answered(line(1), by: .begin, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([line(1)], to: .send)])
    lane.answered(sent(1), by: .send, now: start)
    #expect(lane.room == 1)
    #expect(lane.next(now: start) == [Lane.Pass([sent(1)], to: .record), Lane.Pass([line(2)], to: .begin)])
    lane.answered(sent(1), by: .record, now: start)
    lane.answered(line(2), by: .begin, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([line(2)], to: .send)])
    lane.answered(sent(2), by: .send, now: start)
    #expect(lane.next(now: start) == [Lane.Pass([sent(2)], to: .record)])
    #expect(!lane.isIdle)
    lane.answered(sent(2), by: .record, now: start)
    #expect(lane.isIdle && lane.wakesAt == nil)
  }

  @Test("where sending is quick, many are begun and recorded together, and sent one at a time") func batches() {
    var lane = quick(100)
    let begin = lane.next(now: start)
    #expect(begin == [Lane.Pass((100..<164).map(line), to: .begin)])
    for id in 100..<164 { lane.answered(line(id), by: .begin, now: start) }
    #expect(lane.next(now: start) == [Lane.Pass([line(100)], to: .send)])
    for id in 100..<110 {
      lane.answered(sent(id), by: .send, now: start)
      _ = lane.next(now: start)
    }
    // The first went into the record alone; what came meanwhile goes together.
    lane.answered(sent(100), by: .record, now: start)
    #expect(lane.next(now: start).first == Lane.Pass((101..<110).map { sent($0) }, to: .record))
  }

  @Test("where sending is slow, no more is begun than goes out in a quarter of a second") func window() {
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

  @Test("what is begun behind a send that hangs goes back unsent") func slow() {
    var lane = quick(3)
    _ = lane.next(now: start)
    for id in 100..<103 { lane.answered(line(id), by: .begin, now: start) }
    _ = lane.next(now: start)
    lane.answered(sent(100, "unknown"), by: .send, now: later(10_000))
    let record = lane.next(now: later(10_000)).first
    #expect(record?.stage == .record)
    #expect(record?.lines.map { $0["outcome"]?["class"] } == ["unknown", "deferred", "deferred"])
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

  @Test("a step that fails before the send costs nothing: the lease brings the deliveries back") func beginFails() {
    for problem in [false, true] {
      var lane = Lane(capacity: 2)
      lane.add([line(1)])
      _ = lane.next(now: start)
      if problem {
        lane.answered(["problem": [:]], by: .begin, now: start)
      } else {
        _ = lane.failed(.begin, "signal 9", now: start)
      }
      #expect(lane.isIdle)
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
        _ = lane.failed(.send, "signal 9", now: start)
      }
      let pass = lane.next(now: start).first
      #expect(pass?.stage == .record && pass?.lines.map { $0["outcome"]?["class"] } == ["unknown"])
    }
  }

  @Test(
    "a channel that wants no more now gets no more: what is begun is put back, what is claimed given up",
    arguments: ["throttled", "config"])
  func wantsNoMore(_ outcome: String) {
    var lane = quick(100)
    _ = lane.next(now: start)
    for id in 100..<164 { lane.answered(line(id), by: .begin, now: start) }
    _ = lane.next(now: start)
    lane.answered(sent(100, outcome), by: .send, now: start)
    #expect(lane.queue.isEmpty)
    let passes = lane.next(now: start)
    #expect(passes.map(\.stage) == [.record])
    #expect(
      passes.first?.lines.map { $0["outcome"]?["class"]?.string } == [outcome]
        + [String](repeating: "deferred", count: 63))
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
    #expect(lane.failed(.record, "gone", now: start.adding(seconds: 599)) == 0)
    #expect(lane.next(now: start.adding(seconds: 600)) == [Lane.Pass([sent(1)], to: .record)])
    #expect(lane.failed(.record, "gone", now: start.adding(seconds: 601)) == 1)
    #expect(lane.isIdle)
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
