import Contract
import Host
import NIOCore
import Synchronization

/// The pools of all handlers in mode stream. Requests are sent to a stream process without waiting for its earlier
/// replies, so that the handler can work on several requests together.
final class StreamPools: Sendable {
  private let limits: StreamLimits
  private let context: ProcessContext
  private let threads = ProcessThreads()
  /// All pools that have existed: a request may still be on its way to a retired one.
  private let pools = Mutex<[StreamPool]>([])

  init(limits: StreamLimits, context: ProcessContext) {
    self.limits = limits
    self.context = context
  }

  /// Returns the pool of a handler: the one among `old` if the handler has not changed, or a new one. A pool starts its
  /// first process when a request arrives.
  /// - Parameter burst: how many requests may arrive at once and wait, however long the queue lasts; nil for the
  ///   ordinary limits.
  func pool(for handler: HostedHandler, among old: [StreamPool] = [], burst: Int? = nil) -> StreamPool {
    if let pool = old.first(where: { $0.handler == handler }) { return pool }
    var limits = limits
    if let burst {
      limits.queue = max(limits.queue, burst)
      limits.keepsQueue = true
    }
    let pool = StreamPool(handler, limits: limits, context: context, threads: threads)
    pools.withLock { $0.append(pool) }
    return pool
  }

  /// Retires all pools except these.
  func keep(_ current: [StreamPool]) {
    let others = pools.withLock { pools in pools.filter { pool in !current.contains { $0 === pool } } }
    for pool in others { pool.retire() }
  }

  /// Prevents further processes from being started. Must be called before the stop signal is sent.
  func stopStarting() { for pool in pools.withLock({ $0 }) { pool.stopStarting() } }

  /// Returns when all processes have ended. The caller must have sent the stop signal.
  func shutDown() async { await threads.waitForAll() }
}
