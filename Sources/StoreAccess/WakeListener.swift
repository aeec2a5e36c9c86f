import Contract
import Glibc
import Store
import Wire

/// A session that hears what captures say after their commit, wherever they run. It mends itself, and the log has a line
/// whenever it begins or ceases to work, and no more. One thread uses it.
package final class WakeListener {
  private let ear: Database
  /// Says the proofs, in a session of its own: through a pooler the same one may hear itself, and nobody else.
  private let voice: Database
  private var hearing = ListenerState(now: .now)
  private var failure = ""

  /// Seconds for what is asked of the database.
  private static let patience = 3

  package init(_ settings: Settings) {
    ear = Database(settings)
    voice = Database(settings)
  }

  /// Whether it is known that what is said is heard.
  package var isProved: Bool { hearing.standing == .proved }

  /// Waits until there may be something to claim: something was said, or may have been said before this session listened.
  /// False when nothing was until the deadline; three seconds later at most where the database is slow.
  package func wait(until deadline: Instant, log: Log) -> Bool {
    while .now < deadline {
      let before = hearing.standing
      defer { if hearing.standing != before { tell(log) } }
      do throws(StoreFailure) {
        if try proceed(until: deadline) { return true }
      } catch { fail(error) }
    }
    return false
  }

  /// Does what is to be done now, or waits for what comes first. Whether there may be something to claim.
  private func proceed(until deadline: Instant) throws(StoreFailure) -> Bool {
    let now = Instant.now
    switch hearing.duty(now: now) {
    case .connect:
      try ear.listen(deadline: now.adding(seconds: Self.patience))
      hearing.connected(now: .now)
      return true
    case .prove: prove()
    case .giveUp: giveUp()
    case .wait where hearing.isListening:
      let texts = try ear.notifications(until: min(deadline, hearing.dueAt))
      return texts.map { hearing.heard($0, now: .now) }.contains(true)
    case .wait: pause(until: min(deadline, hearing.dueAt))
    }
    return false
  }

  private func prove() {
    let text = hearing.proof(UUIDText.random().text, now: .now)
    defer { voice.close() }
    do throws(StoreFailure) { try voice.notify(text, deadline: Instant.now.adding(seconds: Self.patience)) } catch {
      hearing.unsaid(now: .now)
    }
  }

  private func giveUp() {
    failure = "what was said was not heard"
    // Behind a pooler the session lives on and would listen for whoever has it next. Where it is dead there is none.
    do throws(StoreFailure) { try ear.unlisten(deadline: Instant.now.adding(seconds: 1)) } catch {}
    ear.close()
    hearing.unheard(now: .now)
  }

  private func fail(_ error: StoreFailure) {
    failure = error.brief
    ear.close()
    if case .refused = error { hearing.deaf(now: .now) } else { hearing.lost(now: .now) }
  }

  private func pause(until end: Instant) {
    let left = end.milliseconds - Instant.now.milliseconds
    _ = poll(nil, 0, Int32(max(0, min(left, 60_000))))
  }

  private func tell(_ log: Log) {
    switch hearing.standing {
    case .unknown: break
    case .proved: log.info("LISTEN works: captures elsewhere wake this worker")
    case .away: log.warn("The session that listens is gone: polling only", ["reason": failure])
    case .deaf:
      log.warn("LISTEN does not work here (a transaction pooler?): polling only", ["reason": failure])
    }
  }
}
