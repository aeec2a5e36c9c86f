import Store
import Testing
import Wire

@Suite("Where a listener stands") struct ListenerStateTests {
  private func at(_ milliseconds: Int) -> Instant { Instant(milliseconds: 1_000_000 + milliseconds) }

  /// One that listens and has proved at 10 ms that it hears.
  private func proved() -> ListenerState {
    var hearing = ListenerState(now: at(0))
    hearing.connected(now: at(0))
    let text = hearing.proof("a", now: at(0))
    _ = hearing.heard(text, now: at(10))
    return hearing
  }

  @Test("it connects, proves at once that it hears, and again half a minute later") func wholeWay() {
    var hearing = ListenerState(now: at(0))
    #expect(hearing.duty(now: at(0)) == .connect && !hearing.isListening)
    hearing.connected(now: at(0))
    #expect(hearing.duty(now: at(0)) == .prove && hearing.isListening && hearing.standing == .unknown)
    let text = hearing.proof("a", now: at(0))
    #expect(hearing.duty(now: at(4999)) == .wait)
    let isCall = hearing.heard(text, now: at(10))
    #expect(!isCall && hearing.standing == .proved)
    #expect(hearing.duty(now: at(30_009)) == .wait && hearing.duty(now: at(30_010)) == .prove)
  }

  @Test("what is said is a call to work, but no proof is, whoever gave it") func calls() {
    var hearing = proved()
    var other = proved()
    let texts = ["", "by hand", other.proof("b", now: at(20)), hearing.proof("c", now: at(20))]
    let calls = texts.map { hearing.heard($0, now: at(20)) }
    #expect(calls == [true, true, false, false])
  }

  @Test("a session that never heard itself is deaf, and another is tried a minute later") func deaf() {
    var hearing = ListenerState(now: at(0))
    hearing.connected(now: at(0))
    _ = hearing.proof("mine", now: at(0))
    _ = hearing.heard("proof another's", now: at(10))
    _ = hearing.heard("", now: at(20))
    #expect(hearing.duty(now: at(5000)) == .giveUp)
    hearing.unheard(now: at(5000))
    #expect(hearing.standing == .deaf && !hearing.isListening)
    #expect(hearing.duty(now: at(64_999)) == .wait && hearing.duty(now: at(65_000)) == .connect)
    hearing.connected(now: at(65_000))
    #expect(hearing.standing == .deaf, "it is not known yet that it hears")
  }

  @Test("a session that heard itself and does so no more is dead, and another is made at once") func dead() {
    var hearing = proved()
    _ = hearing.proof("mine", now: at(30_010))
    #expect(hearing.duty(now: at(35_010)) == .giveUp)
    hearing.unheard(now: at(35_010))
    #expect(hearing.standing == .away && hearing.duty(now: at(35_260)) == .connect)
    // The next one is not trusted for what this one heard.
    hearing.connected(now: at(35_260))
    _ = hearing.proof("mine", now: at(35_260))
    hearing.unheard(now: at(40_260))
    #expect(hearing.standing == .deaf)
  }

  @Test("a proof that could not be said proves nothing") func unsaid() {
    var hearing = proved()
    _ = hearing.proof("b", now: at(30_010))
    hearing.unsaid(now: at(30_010))
    #expect(hearing.standing == .proved && hearing.duty(now: at(36_000)) == .wait)
    #expect(hearing.duty(now: at(60_010)) == .prove)
  }

  @Test("after losses it waits longer each time, until it has heard itself") func losses() {
    var hearing = proved()
    var now = at(20)
    var rests: [Int] = []
    for _ in 0..<10 {
      hearing.lost(now: now)
      rests.append(hearing.dueAt.milliseconds - now.milliseconds)
      now = hearing.dueAt
      #expect(hearing.duty(now: now) == .connect && hearing.standing == .away)
    }
    #expect(rests == [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    hearing.connected(now: now)
    let text = hearing.proof("again", now: now)
    _ = hearing.heard(text, now: now)
    hearing.lost(now: now)
    #expect(hearing.dueAt.milliseconds - now.milliseconds == 250)
  }
}
