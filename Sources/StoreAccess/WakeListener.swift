import Contract
import Glibc
import Store
import Wire

/// A session that receives the notifications that captures on any host send after their commit. It reconnects
/// automatically, and logs a line only when it starts or stops working. Not thread-safe.
package final class WakeListener {
  private let ear: Database
  /// Sends the proofs in a second session: through a pooler, a session may receive its own notifications and no others.
  private let voice: Database
  private var hearing = ListenerState(now: .now)
  private var failure = ""

  /// The time limit of a database call, in seconds.
  private static let patience = 3

  package init(_ settings: Settings) {
    ear = Database(settings)
    voice = Database(settings)
  }

  /// True if a proof has arrived: notifications work.
  package var isProved: Bool { hearing.standing == .proved }

  /// Waits until there may be something to claim: a notification arrived, or may have been sent before this session
  /// listened. Returns false at the deadline, or at most three seconds later if the database is slow.
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

  /// Performs the next action, or waits for a notification or the time of the action. Returns true if there may be
  /// something to claim.
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
    failure = "a test notification did not arrive"
    // Behind a pooler the session stays open and would listen for its next client. If the session is dead, this fails
    // without harm.
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
