import Limits
import NIOCore
import Synchronization

/// Lets the keys of one address be tested one after another. Nobody is refused because others guess, and guessing in
/// parallel is not faster.
final class TurnQueue: Sendable {
  /// How many keys of an address may wait: as many as the connections that a client may have.
  static let capacity = 256
  /// The time between two tests, so that an address tests at most 20 keys in a second.
  static let pause = TimeAmount.milliseconds(50)

  /// The waiting keys of each address for which one is being tested.
  private let waiting = Mutex<[RateKey: CircularBuffer<EventLoopPromise<Void>>]>([:])

  /// Returns a future that completes when it is the caller's turn; nil if too many wait. The caller must then call
  /// `end`.
  func turn(of key: RateKey, on loop: any EventLoop) -> EventLoopFuture<Void>? {
    waiting.withLock { waiting in
      guard let count = waiting[key]?.count else {
        waiting[key] = []
        return loop.makeSucceededVoidFuture()
      }
      guard count < Self.capacity else { return nil }
      let promise = loop.makePromise(of: Void.self)
      waiting[key]?.append(promise)
      return promise.futureResult
    }
  }

  /// Ends the caller's turn. The next one begins after the pause, or at once if nothing was tested.
  func end(_ key: RateKey, wasTested: Bool, on loop: any EventLoop) {
    guard wasTested else { return next(key) }
    loop.scheduleTask(in: Self.pause) { self.next(key) }
  }

  private func next(_ key: RateKey) {
    let promise = waiting.withLock { waiting in
      let promise = waiting[key]?.popFirst()
      if promise == nil { waiting[key] = nil }
      return promise
    }
    promise?.succeed()
  }
}
