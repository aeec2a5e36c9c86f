import Contract
import Testing
import Wire

@Suite("Work after the replies") struct AfterwardsTests {
  private let log = Log(["LOG_LEVEL": "error"])

  private func at(_ milliseconds: Int) -> Instant { Instant(milliseconds: 1_000_000 + milliseconds) }

  @Test("is never due without work or without a request") func notRequested() {
    let nothing = Afterwards()
    nothing.request()
    #expect(nothing.dueAt == nil)
    let afterwards = Afterwards()
    var times = 0
    afterwards.set { _ in
      times += 1
      return 10
    }
    afterwards.proceed(now: at(0), log: log)
    afterwards.finish(now: at(0), log: log)
    #expect(times == 0 && afterwards.dueAt == nil)
  }

  @Test("is done at once, then once after each rest if it was requested") func rests() {
    let afterwards = Afterwards()
    var done: [Int] = []
    var now = 0
    afterwards.set { _ in
      done.append(now)
      return 10
    }
    for millisecond in 0..<35 {
      now = millisecond
      if now < 23 { afterwards.request() }
      afterwards.proceed(now: at(now), log: log)
    }
    #expect(done == [0, 10, 20, 30])
    #expect(afterwards.dueAt == nil)
  }

  @Test("rests as long as the work returns, and is done once more at the end") func end() {
    let afterwards = Afterwards()
    var times = 0
    afterwards.set { _ in
      times += 1
      return 10_000
    }
    afterwards.request()
    afterwards.proceed(now: at(0), log: log)
    afterwards.request()
    #expect(afterwards.dueAt == at(10_000))
    afterwards.proceed(now: at(9_999), log: log)
    #expect(times == 1)
    afterwards.finish(now: at(9_999), log: log)
    afterwards.finish(now: at(9_999), log: log)
    #expect(times == 2)
  }
}
