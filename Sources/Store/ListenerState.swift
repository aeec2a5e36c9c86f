import Wire

/// Where a listener stands: when it is to connect, to prove that it hears, and to give up. Pure: the time is given.
///
/// That LISTEN was accepted proves nothing: a pooler of transactions accepts it, and what is said then reaches nobody. So a
/// text of our own is said through another session, at once and then twice a minute, and must be heard in time.
package struct ListenerState {
  /// What is to be done.
  package enum Duty: Equatable { case connect, prove, giveUp, wait }

  /// What an operator is to know.
  package enum Standing: Equatable { case unknown, proved, away, deaf }

  package private(set) var standing = Standing.unknown

  private enum State {
    case apart(until: Instant)
    case listening(proveAt: Instant)
    case proving(text: String, until: Instant)
  }

  private var state: State
  /// Whether this session has heard a proof.
  private var hasHeard = false
  /// Sessions in a row that were lost before they proved anything.
  private var losses = 0

  /// Seconds.
  private static let betweenProofs = 30
  private static let proofTakes = 5
  private static let betweenTries = 60
  /// Milliseconds from a loss to the next try: doubled with each.
  private static let rests = 250...30_000
  /// What a proof begins with; anything else that is said is a call to work.
  private static let mark = "proof "

  package init(now: Instant) { state = .apart(until: now) }

  package var isListening: Bool { if case .apart = state { false } else { true } }

  /// When there is something to do that nobody says.
  package var dueAt: Instant {
    switch state {
    case .apart(let until), .listening(let until), .proving(_, let until): until
    }
  }

  package func duty(now: Instant) -> Duty {
    guard dueAt <= now else { return .wait }
    switch state {
    case .apart: return .connect
    case .listening: return .prove
    case .proving: return .giveUp
    }
  }

  /// The session listens: it is to prove at once that it hears.
  package mutating func connected(now: Instant) {
    state = .listening(proveAt: now)
    hasHeard = false
  }

  /// What is to be said as a proof; no two have the same text, for every listener hears those of all.
  package mutating func proof(_ unique: String, now: Instant) -> String {
    let text = Self.mark + unique
    state = .proving(text: text, until: now.adding(seconds: Self.proofTakes))
    return text
  }

  /// The proof could not be said, which proves nothing.
  package mutating func unsaid(now: Instant) { state = .listening(proveAt: now.adding(seconds: Self.betweenProofs)) }

  /// Takes what was heard. Whether it is a call to work.
  package mutating func heard(_ text: String, now: Instant) -> Bool {
    if case .proving(text, _) = state {
      state = .listening(proveAt: now.adding(seconds: Self.betweenProofs))
      standing = .proved
      hasHeard = true
      losses = 0
    }
    return !text.hasPrefix(Self.mark)
  }

  /// The session broke, or could not be made: a short rest, and a longer one each time.
  package mutating func lost(now: Instant) {
    let rest = min(Self.rests.lowerBound << min(losses, 10), Self.rests.upperBound)
    losses += 1
    state = .apart(until: Instant(milliseconds: now.milliseconds + rest))
    standing = .away
  }

  /// The proof was not heard in time: a session that heard before is dead, any other was deaf from the beginning.
  package mutating func unheard(now: Instant) { if hasHeard { lost(now: now) } else { deaf(now: now) } }

  /// This database lets nobody listen: it may later.
  package mutating func deaf(now: Instant) {
    state = .apart(until: now.adding(seconds: Self.betweenTries))
    standing = .deaf
  }
}
