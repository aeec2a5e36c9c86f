import Synchronization

/// Decides whether the gateway is overloaded, which means that most requests of the last seconds were refused. The
/// caller passes the second.
struct OverloadWindow: Sendable {
  private struct Tally: Sendable {
    var all = 0
    var refused = 0
  }

  /// Fewer refusals do not count as overload.
  private static let leastRefused = 10
  private var second = 0
  private var current = Tally()
  private var previous = Tally()

  mutating func record(refused: Bool, at second: Int) {
    move(to: second)
    current.all += 1
    if refused { current.refused += 1 }
  }

  /// True if at least half of the requests in this second and the one before were refused, and at least ten.
  func isOverload(at second: Int) -> Bool {
    var window = self
    window.move(to: second)
    let refused = window.current.refused + window.previous.refused
    return refused >= Self.leastRefused && 2 * refused >= window.current.all + window.previous.all
  }

  private mutating func move(to second: Int) {
    guard second > self.second else { return }
    previous = second == self.second + 1 ? current : Tally()
    current = Tally()
    self.second = second
  }
}

/// Tracks whether the gateway should be sent requests.
final class Readiness: Sendable {
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

  /// Records a request: `refused` is true if no process took it.
  func record(refused: Bool) {
    let second = second
    state.withLock { $0.window.record(refused: refused, at: second) }
  }

  /// Why the gateway should not be sent requests; nil if it should. Reading it uses no process and no database.
  var reason: String? {
    let second = second
    return state.withLock { state in
      if state.phase != .listening { return state.phase.rawValue }
      return state.window.isOverload(at: second) ? "overload" : nil
    }
  }
}
