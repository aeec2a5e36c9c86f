import Synchronization
import Wire

/// The plan that is in force, shared by all connections, with the mails that were turned away once (greylisting).
final class FaultBook: Sendable {
  /// Beyond this many mails nothing more is turned away.
  private static let remembered = 100_000

  private struct State {
    var plan: FaultPlan
    var turnedAway: Set<String> = []
  }

  private let state: Mutex<State>

  init(_ plan: FaultPlan) { state = Mutex(State(plan: plan)) }

  func next(_ provider: SinkProvider) -> SinkFault? { state.withLock { $0.plan.next(provider) } }

  /// Whether this is the first attempt of a mail that has this name.
  func turnsAway(_ name: String) -> Bool {
    state.withLock { $0.turnedAway.count < Self.remembered && $0.turnedAway.insert(name).inserted }
  }

  /// Puts another plan in the place of this one; what was turned away is forgotten.
  func follow(_ plan: FaultPlan) { state.withLock { $0 = State(plan: plan) } }

  var document: JSON { state.withLock { $0.plan.document } }
}
