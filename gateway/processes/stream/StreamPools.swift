import Contract
import Host
import NIOCore
import Synchronization

/// The pools of all handlers whose processes are long-lived. Requests are sent to such a process without waiting for its earlier
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

  /// The pool of a handler: the one among `old` where the handler has not changed, or a new one. A pool starts its first process
  /// when a request comes.
  /// - Parameter burst: how many requests may come at once and wait as long as a queue lasts; nil where the ordinary limits hold.
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

  /// Retires all pools but these.
  func keep(_ current: [StreamPool]) {
    let others = pools.withLock { pools in pools.filter { pool in !current.contains { $0 === pool } } }
    for pool in others { pool.retire() }
  }

  /// To be called before the processes are told to stop.
  func stopStarting() { for pool in pools.withLock({ $0 }) { pool.stopStarting() } }

  /// Returns when all processes, which have been told to stop, are gone.
  func shutDown() async { await threads.waitForAll() }
}
