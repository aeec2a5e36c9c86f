import Synchronization
import Wire

/// The current fault plan, shared by all connections, and the emails that were refused once (greylisting).
final class FaultBook: Sendable {
  /// After this many emails, no more are refused.
  private static let remembered = 100_000

  private struct State {
    var plan: FaultPlan
    var turnedAway: Set<String> = []
  }

  private let state: Mutex<State>

  init(_ plan: FaultPlan) { state = Mutex(State(plan: plan)) }

  func next(_ provider: SinkProvider) -> SinkFault? { state.withLock { $0.plan.next(provider) } }

  /// Returns true if this is the first attempt of the email with this name.
  func turnsAway(_ name: String) -> Bool {
    state.withLock { $0.turnedAway.count < Self.remembered && $0.turnedAway.insert(name).inserted }
  }

  /// Replaces the plan and forgets which emails were refused.
  func follow(_ plan: FaultPlan) { state.withLock { $0 = State(plan: plan) } }

  var document: JSON { state.withLock { $0.plan.document } }
}
