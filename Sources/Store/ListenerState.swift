import Wire

/// The state machine of a listener: when it must connect, test that notifications arrive, and give up. Pure: the time
/// is an argument.
///
/// A successful LISTEN does not prove that notifications arrive: a transaction pooler accepts it, and notifications are
/// then lost. Therefore another session sends a test notification (a proof) at once and then twice a minute, which must
/// arrive in time.
package struct ListenerState {
  /// The next action.
  package enum Action: Equatable { case connect, prove, giveUp, wait }

  /// The state to report to the operator: `disconnected` if the session is lost, `notReceiving` if notifications do not
  /// arrive.
  package enum Status: Equatable { case unknown, proved, disconnected, notReceiving }

  package private(set) var status = Status.unknown

  private enum State {
    case apart(until: Instant)
    case listening(proveAt: Instant)
    case proving(text: String, until: Instant)
  }

  private var state: State
  /// True if this session has received a proof.
  private var hasReceivedProof = false
  /// The number of consecutive sessions that were lost before they received a proof.
  private var losses = 0

  /// Seconds.
  private static let betweenProofs = 30
  private static let proofTakes = 5
  private static let betweenAttempts = 60
  /// Milliseconds from a loss to the next attempt; doubled with each loss.
  private static let delays = 250...30_000
  /// The prefix of a proof. Any other payload means that there is work.
  private static let mark = "proof "

  package init(now: Instant) { state = .apart(until: now) }

  package var isListening: Bool { if case .apart = state { false } else { true } }

  /// When the next action is due, if no notification arrives before.
  package var dueAt: Instant {
    switch state {
    case .apart(let until), .listening(let until), .proving(_, let until): until
    }
  }

  package func action(now: Instant) -> Action {
    guard dueAt <= now else { return .wait }
    switch state {
    case .apart: return .connect
    case .listening: return .prove
    case .proving: return .giveUp
    }
  }

  /// The session is listening; a proof is due at once.
  package mutating func connected(now: Instant) {
    state = .listening(proveAt: now)
    hasReceivedProof = false
  }

  /// Returns the payload of a proof. It must be unique, because every listener receives the proofs of all.
  package mutating func proof(_ unique: String, now: Instant) -> String {
    let text = Self.mark + unique
    state = .proving(text: text, until: now.adding(seconds: Self.proofTakes))
    return text
  }

  /// The proof could not be sent, which shows nothing about this session.
  package mutating func proofNotSent(now: Instant) {
    state = .listening(proveAt: now.adding(seconds: Self.betweenProofs))
  }

  /// Handles a received payload. Returns true if it means that there is work.
  package mutating func received(_ text: String, now: Instant) -> Bool {
    if case .proving(text, _) = state {
      state = .listening(proveAt: now.adding(seconds: Self.betweenProofs))
      status = .proved
      hasReceivedProof = true
      losses = 0
    }
    return !text.hasPrefix(Self.mark)
  }

  /// The session broke or could not be opened. The next attempt follows after a delay that doubles each time.
  package mutating func lost(now: Instant) {
    let delay = min(Self.delays.lowerBound << min(losses, 10), Self.delays.upperBound)
    losses += 1
    state = .apart(until: Instant(milliseconds: now.milliseconds + delay))
    status = .disconnected
  }

  /// The proof did not arrive in time. A session that has received a proof before is lost; any other never worked.
  package mutating func proofTimedOut(now: Instant) {
    if hasReceivedProof { lost(now: now) } else { notReceiving(now: now) }
  }

  /// Notifications do not work with this database. The next attempt follows after a minute.
  package mutating func notReceiving(now: Instant) {
    state = .apart(until: now.adding(seconds: Self.betweenAttempts))
    status = .notReceiving
  }
}
