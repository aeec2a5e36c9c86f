import Leads
import Testing
import Wire
import Worker

@Suite("The lane of a channel") struct LaneTests {
  private let start = Instant(milliseconds: 1_000_000)
  private let line: JSON = ["id": "1"]

  private func lane(at stage: Lane.Stage) -> Lane {
    var lane = Lane(capacity: 2)
    lane.add([line])
    _ = lane.next(now: start)
    if stage != .begin { _ = lane.answered(line, now: start) }
    if stage == .record { _ = lane.answered(line, now: start) }
    return lane
  }

  @Test("leads a delivery through begin, send and record, then takes the next") func wholeWay() {
    var lane = Lane(capacity: 2)
    lane.add([line, ["id": "2"]])
    #expect(lane.room == 0)
    #expect(lane.next(now: start) == .pass(line, to: .begin))
    #expect(lane.next(now: start) == .nothing)
    #expect(lane.answered(line, now: start) == .pass(line, to: .send))
    let sent = line.setting("outcome", ["class": "delivered"])
    #expect(lane.answered(sent, now: start) == .pass(sent, to: .record))
    #expect(lane.answered(sent, now: start) == .nothing)
    #expect(lane.room == 1)
    #expect(lane.next(now: start) == .pass(["id": "2"], to: .begin))
  }

  @Test("what was lost at the beginning is not sent") func lost() {
    var lane = lane(at: .begin)
    #expect(lane.answered(line.setting("outcome", ["class": "lost"]), now: start) == .nothing)
    #expect(lane.isIdle)
  }

  @Test("a step that fails before the send costs nothing: the lease brings the delivery back") func beginFails() {
    var lane = lane(at: .begin)
    #expect(lane.failed("signal 9", now: start) == .nothing)
    #expect(lane.isIdle)
  }

  @Test("a send without an answer is unknown, and recorded as such") func sendFails() {
    for problem in [false, true] {
      var lane = lane(at: .send)
      let action = problem ? lane.answered(["problem": [:]], now: start) : lane.failed("signal 9", now: start)
      guard case .pass(let line, .record) = action else {
        Issue.record("\(action)")
        return
      }
      #expect(line["outcome"]?["class"] == "unknown")
    }
  }

  @Test(
    "a channel that wants no more now gets no more: the rest of its queue goes back",
    arguments: ["throttled", "config"])
  func wantsNoMore(_ outcome: String) {
    var lane = lane(at: .send)
    lane.add([["id": "2"], ["id": "3"]])
    let refused = line.setting("outcome", ["class": .string(outcome)])
    #expect(lane.answered(refused, now: start) == .pass(refused, to: .record))
    #expect(lane.queue.isEmpty)
  }

  @Test("a record that fails is tried again every second, for ten minutes") func recordFails() {
    var lane = lane(at: .record)
    #expect(lane.answered(["problem": [:]], now: start) == .nothing)
    #expect(lane.next(now: start) == .nothing)
    #expect(!lane.isOverdue(now: start.adding(seconds: 100)))
    #expect(lane.next(now: start.adding(seconds: 1)) == .pass(line, to: .record))
    #expect(lane.failed("gone", now: start.adding(seconds: 601)) == .nothing)
    #expect(lane.isIdle)
  }

  @Test("a step that hangs is overdue") func hangs() {
    let lane = lane(at: .send)
    #expect(!lane.isOverdue(now: start.adding(seconds: 14)))
    #expect(lane.isOverdue(now: start.adding(seconds: 15)))
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
