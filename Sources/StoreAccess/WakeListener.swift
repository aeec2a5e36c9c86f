import Contract
import Glibc
import Store
import Wire

/// A session that receives the notifications that captures on any host send after their commit. It reconnects
/// automatically, and logs a line only when it starts or stops working. Not thread-safe.
package final class WakeListener {
  private let listening: Database
  /// Sends the proofs in a second session: through a pooler, a session may receive its own notifications and no others.
  private let proving: Database
  private var state = ListenerState(now: .steady)
  private var failure = ""

  /// The time limit of a database call, in seconds.
  private static let timeout = 3

  package init(_ settings: Settings) {
    listening = Database(settings, url: settings["DATABASE_URL_LISTEN"])
    proving = Database(settings)
  }

  /// True if a proof has arrived: notifications work.
  package var isProved: Bool { state.status == .proved }

  /// Waits until there may be something to claim: a notification arrived, or may have been sent before this session
  /// listened. Returns false at the deadline, or at most three seconds later if the database is slow.
  package func wait(until deadline: Instant, log: Log) -> Bool {
    while .steady < deadline {
      let before = state.status
      defer { if state.status != before { report(log) } }
      do throws(StoreFailure) {
        if try proceed(until: deadline) { return true }
      } catch { fail(error) }
    }
    return false
  }

  /// Performs the next action, or waits for a notification or the time of the action. Returns true if there may be
  /// something to claim.
  private func proceed(until deadline: Instant) throws(StoreFailure) -> Bool {
    let now = Instant.steady
    switch state.action(now: now) {
    case .connect:
      try listening.listen(deadline: now.adding(seconds: Self.timeout))
      state.connected(now: .steady)
      return true
    case .prove: prove()
    case .giveUp: giveUp()
    case .wait where state.isListening:
      let texts = try listening.notifications(until: min(deadline, state.dueAt))
      return texts.map { state.received($0, now: .steady) }.contains(true)
    case .wait: pause(until: min(deadline, state.dueAt))
    }
    return false
  }

  private func prove() {
    let text = state.proof(UUIDText.random().text, now: .steady)
    defer { proving.close() }
    do throws(StoreFailure) { try proving.notify(text, deadline: Instant.steady.adding(seconds: Self.timeout)) } catch {
      state.proofNotSent(now: .steady)
    }
  }

  private func giveUp() {
    failure = "a test notification did not arrive"
    // Behind a pooler the session stays open and would listen for its next client. If the session is dead, this fails
    // without harm.
    do throws(StoreFailure) { try listening.unlisten(deadline: Instant.steady.adding(seconds: 1)) } catch {}
    listening.close()
    state.proofTimedOut(now: .steady)
  }

  private func fail(_ error: StoreFailure) {
    failure = error.brief
    listening.close()
    if case .refused = error { state.notReceiving(now: .steady) } else { state.lost(now: .steady) }
  }

  private func pause(until end: Instant) {
    let left = end.milliseconds - Instant.steady.milliseconds
    _ = poll(nil, 0, Int32(max(0, min(left, 60_000))))
  }

  private func report(_ log: Log) {
    switch state.status {
    case .unknown: break
    case .proved: log.info("LISTEN works: captures on other machines wake this worker")
    case .disconnected: log.warn("The listening session was lost: polling only", ["reason": failure])
    case .notReceiving:
      log.warn("LISTEN does not work here (a transaction pooler?): polling only", ["reason": failure])
    }
  }
}
