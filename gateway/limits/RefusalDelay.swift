import NIOCore
import Synchronization

/// Where those wait who have been turned away at the door and are not told yet. Whoever is told at once may ask again at once,
/// and hundreds of connections that do so would take the processors from those who are served. Here they cost a timer each.
final class Antechamber: Sendable {
  /// How many it holds: more are told at once, for connections are not for ever.
  static let places = 1024

  private let wait: Duration
  private let taken = Atomic(0)

  init(wait: Duration) { self.wait = wait }

  /// The same result: later, where nobody has looked at the request.
  func hold(_ result: HandlerResult, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    guard result.end == .turnedAway(.queueIsFull), enter() else { return loop.makeSucceededFuture(result) }
    return loop.scheduleTask(in: .milliseconds(Int64(wait.milliseconds))) { [self] in
      taken.subtract(1, ordering: .relaxed)
      return result
    }.futureResult
  }

  private func enter() -> Bool {
    if taken.add(1, ordering: .relaxed).newValue <= Self.places { return true }
    taken.subtract(1, ordering: .relaxed)
    return false
  }
}
