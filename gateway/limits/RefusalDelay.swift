import NIOCore
import Synchronization

/// Delays refusals under overload. A client that is refused at once may ask again at once, and hundreds of connections that do
/// so would take the processor from the requests that are served. A delayed refusal costs one timer.
final class RefusalDelay: Sendable {
  /// How many refusals are delayed at a time. Further ones are sent at once, so that connections do not run out.
  static let capacity = 1024

  private let time: Duration
  private let delayed = Atomic(0)

  init(time: Duration) { self.time = time }

  /// The same value, later.
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
