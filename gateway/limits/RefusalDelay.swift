import NIOCore
import Synchronization

/// Delays refusals under overload. A client that is refused at once may retry at once, and hundreds of such connections
/// would take processor time from the requests that are served. A delayed refusal costs one timer.
final class RefusalDelay: Sendable {
  /// How many refusals are delayed at the same time. Further ones are sent at once, so that connections do not run out.
  static let capacity = 1024

  private let time: Duration
  private let delayed = Atomic(0)

  init(time: Duration) { self.time = time }

  /// Returns a future of the same value that completes after the delay, or at once if too many are delayed.
  func delay<Value: Sendable>(_ value: Value, on loop: any EventLoop) -> EventLoopFuture<Value> {
    guard start() else { return loop.makeSucceededFuture(value) }
    return loop.scheduleTask(in: .milliseconds(Int64(time.milliseconds))) { [self] in
      delayed.subtract(1, ordering: .relaxed)
      return value
    }.futureResult
  }

  private func start() -> Bool {
    if delayed.add(1, ordering: .relaxed).newValue <= Self.capacity { return true }
    delayed.subtract(1, ordering: .relaxed)
    return false
  }
}
