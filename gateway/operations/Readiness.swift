import Synchronization

/// Whether most requests of the last seconds found no place: the decision, given the second.
struct OverloadWindow: Sendable {
  private struct Tally: Sendable {
    var all = 0
    var turnedAway = 0
  }

  /// Fewer are no overload.
  private static let least = 10
  private var second = 0
  private var current = Tally()
  private var previous = Tally()

  mutating func note(turnedAway: Bool, at second: Int) {
    move(to: second)
    current.all += 1
    if turnedAway { current.turnedAway += 1 }
  }

  /// Whether half of the requests of this second and the one before were turned away, and at least ten.
  func isOverload(at second: Int) -> Bool {
    var window = self
    window.move(to: second)
    let turnedAway = window.current.turnedAway + window.previous.turnedAway
    return turnedAway >= Self.least && 2 * turnedAway >= window.current.all + window.previous.all
  }

  private mutating func move(to second: Int) {
    guard second > self.second else { return }
    previous = second == self.second + 1 ? current : Tally()
    current = Tally()
    self.second = second
  }
}

/// Whether the gateway should be sent requests.
final class Health: Sendable {
  enum Phase: String, Sendable { case starting, listening, draining }

  private struct State: Sendable {
    var phase = Phase.starting
    var window = OverloadWindow()
  }

  private let state = Mutex(State())
  private let start = ContinuousClock.now

  private var second: Int { Int((ContinuousClock.now - start).components.seconds) }

  var phase: Phase {
    get { state.withLock { $0.phase } }
    set { state.withLock { $0.phase = newValue } }
  }

  /// A request has got its answer.
  func note(turnedAway: Bool) {
    let second = second
    state.withLock { $0.window.note(turnedAway: turnedAway, at: second) }
  }

  /// Why it should not be sent any; nil when it should. It costs nothing to ask: no process, no database.
  var reason: String? {
    let second = second
    return state.withLock { state in
      if state.phase != .listening { return state.phase.rawValue }
      return state.window.isOverload(at: second) ? "overload" : nil
    }
  }
}
