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
    _ = listener.received(text, now: at(10))
    return listener
  }

  @Test("connects, sends a proof at once and another 30 seconds after receiving it") func provesRepeatedly() {
    var listener = ListenerState(now: at(0))
    #expect(listener.action(now: at(0)) == .connect && !listener.isListening)
    listener.connected(now: at(0))
    #expect(listener.action(now: at(0)) == .prove && listener.isListening && listener.status == .unknown)
    let text = listener.proof("a", now: at(0))
    #expect(listener.action(now: at(4999)) == .wait)
    let isCall = listener.received(text, now: at(10))
    #expect(!isCall && listener.status == .proved)
    #expect(listener.action(now: at(30_009)) == .wait && listener.action(now: at(30_010)) == .prove)
  }

  @Test("any notification is a call to work, except the proofs of all listeners") func calls() {
    var listener = proved()
    var other = proved()
    let texts = ["", "by hand", other.proof("b", now: at(20)), listener.proof("c", now: at(20))]
    let calls = texts.map { listener.received($0, now: at(20)) }
    #expect(calls == [true, true, false, false])
  }

  @Test("a session that never receives its own proof is given up, and reconnects a minute later")
  func notReceiving() {
    var listener = ListenerState(now: at(0))
    listener.connected(now: at(0))
    _ = listener.proof("mine", now: at(0))
    _ = listener.received("proof another's", now: at(10))
    _ = listener.received("", now: at(20))
    #expect(listener.action(now: at(5000)) == .giveUp)
    listener.proofTimedOut(now: at(5000))
    #expect(listener.status == .notReceiving && !listener.isListening)
    #expect(listener.action(now: at(64_999)) == .wait && listener.action(now: at(65_000)) == .connect)
    listener.connected(now: at(65_000))
    #expect(listener.status == .notReceiving, "the new session has not received its proof yet")
  }

  @Test("a session that stops receiving its proofs is lost, and reconnects after 250 ms") func dead() {
    var listener = proved()
    _ = listener.proof("mine", now: at(30_010))
    #expect(listener.action(now: at(35_010)) == .giveUp)
    listener.proofTimedOut(now: at(35_010))
    #expect(listener.status == .disconnected && listener.action(now: at(35_260)) == .connect)
    // The proofs of this session do not count for the next one.
    listener.connected(now: at(35_260))
    _ = listener.proof("mine", now: at(35_260))
    listener.proofTimedOut(now: at(40_260))
    #expect(listener.status == .notReceiving)
  }

  @Test("a proof that could not be sent changes no state and is retried 30 seconds later") func unsentProof() {
    var listener = proved()
    _ = listener.proof("b", now: at(30_010))
    listener.proofNotSent(now: at(30_010))
    #expect(listener.status == .proved && listener.action(now: at(36_000)) == .wait)
    #expect(listener.action(now: at(60_010)) == .prove)
  }

  @Test("waits longer after each loss, until it has received its own proof") func losses() {
    var listener = proved()
    var now = at(20)
    var rests: [Int] = []
    for _ in 0..<10 {
      listener.lost(now: now)
      rests.append(listener.dueAt.milliseconds - now.milliseconds)
      now = listener.dueAt
      #expect(listener.action(now: now) == .connect && listener.status == .disconnected)
    }
    #expect(rests == [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    listener.connected(now: now)
    let text = listener.proof("again", now: now)
    _ = listener.received(text, now: now)
    listener.lost(now: now)
    #expect(listener.dueAt.milliseconds - now.milliseconds == 250)
  }
}
