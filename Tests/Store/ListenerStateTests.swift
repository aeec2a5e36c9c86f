import Store
import Testing
import Wire

@Suite("The state of a listener") struct ListenerStateTests {
  private func at(_ milliseconds: Int) -> Instant { Instant(milliseconds: 1_000_000 + milliseconds) }

  /// Returns a listener that has received its own proof at 10 ms.
  private func proved() -> ListenerState {
    var listener = ListenerState(now: at(0))
    listener.connected(now: at(0))
    let text = listener.proof("a", now: at(0))
    _ = listener.heard(text, now: at(10))
    return listener
  }

  @Test("connects, sends a proof at once and another 30 seconds after receiving it") func provesRepeatedly() {
    var listener = ListenerState(now: at(0))
    #expect(listener.duty(now: at(0)) == .connect && !listener.isListening)
    listener.connected(now: at(0))
    #expect(listener.duty(now: at(0)) == .prove && listener.isListening && listener.standing == .unknown)
    let text = listener.proof("a", now: at(0))
    #expect(listener.duty(now: at(4999)) == .wait)
    let isCall = listener.heard(text, now: at(10))
    #expect(!isCall && listener.standing == .proved)
    #expect(listener.duty(now: at(30_009)) == .wait && listener.duty(now: at(30_010)) == .prove)
  }

  @Test("any notification is a call to work, except the proofs of all listeners") func calls() {
    var listener = proved()
    var other = proved()
    let texts = ["", "by hand", other.proof("b", now: at(20)), listener.proof("c", now: at(20))]
    let calls = texts.map { listener.heard($0, now: at(20)) }
    #expect(calls == [true, true, false, false])
  }

  @Test("a session that never receives its own proof is deaf, and reconnects a minute later") func deaf() {
    var listener = ListenerState(now: at(0))
    listener.connected(now: at(0))
    _ = listener.proof("mine", now: at(0))
    _ = listener.heard("proof another's", now: at(10))
    _ = listener.heard("", now: at(20))
    #expect(listener.duty(now: at(5000)) == .giveUp)
    listener.unheard(now: at(5000))
    #expect(listener.standing == .deaf && !listener.isListening)
    #expect(listener.duty(now: at(64_999)) == .wait && listener.duty(now: at(65_000)) == .connect)
    listener.connected(now: at(65_000))
    #expect(listener.standing == .deaf, "the new session has not received its proof yet")
  }

  @Test("a session that stops receiving its proofs is lost, and reconnects after 250 ms") func dead() {
    var listener = proved()
    _ = listener.proof("mine", now: at(30_010))
    #expect(listener.duty(now: at(35_010)) == .giveUp)
    listener.unheard(now: at(35_010))
    #expect(listener.standing == .away && listener.duty(now: at(35_260)) == .connect)
    // The proofs of this session do not count for the next one.
    listener.connected(now: at(35_260))
    _ = listener.proof("mine", now: at(35_260))
    listener.unheard(now: at(40_260))
    #expect(listener.standing == .deaf)
  }

  @Test("a proof that could not be sent changes no state and is retried 30 seconds later") func unsentProof() {
    var listener = proved()
    _ = listener.proof("b", now: at(30_010))
    listener.unsaid(now: at(30_010))
    #expect(listener.standing == .proved && listener.duty(now: at(36_000)) == .wait)
    #expect(listener.duty(now: at(60_010)) == .prove)
  }

  @Test("waits longer after each loss, until it has received its own proof") func losses() {
    var listener = proved()
    var now = at(20)
    var rests: [Int] = []
    for _ in 0..<10 {
      listener.lost(now: now)
      rests.append(listener.dueAt.milliseconds - now.milliseconds)
      now = listener.dueAt
      #expect(listener.duty(now: now) == .connect && listener.standing == .away)
    }
    #expect(rests == [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    listener.connected(now: now)
    let text = listener.proof("again", now: now)
    _ = listener.heard(text, now: now)
    listener.lost(now: now)
    #expect(listener.dueAt.milliseconds - now.milliseconds == 250)
  }
}
