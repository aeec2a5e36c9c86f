import Handler
import Host
import NIOCore
import Synchronization

/// A few long-lived processes for each handler, which are fed without waiting for their answers, so that a handler can do
/// the work of what has arrived together.
final class StreamProcesses: Sendable {
  private let limits: StreamLimits
  private let budgets: Budgets
  private let environment: [String: String]
  private let stop: StopSignal
  private let ledger: ProcessLedger
  private let log: Log
  private let threads = ThreadCount()
  /// All that there have been: somebody may still be on the way to a retired one.
  private let pools = Mutex<[StreamPool]>([])

  /// Each handler gets its share of `environment`.
  init(
    limits: StreamLimits, budgets: Budgets, environment: [String: String], stop: StopSignal, ledger: ProcessLedger,
    log: Log
  ) {
    self.limits = limits
    self.budgets = budgets
    self.environment = environment
    self.stop = stop
    self.ledger = ledger
    self.log = log
  }

  /// The pool of a handler: the one that it has had, where it is still the same, or a new one. No process is started before a
  /// request comes.
  func pool(for handler: HostedHandler, among old: [StreamPool]) -> StreamPool {
    if let own = old.first(where: { $0.handler == handler }) { return own }
    var limits = limits
    // Whoever listens comes again after a restart, all in the same instant.
    if handler.description.feed != nil {
      limits.waiting = max(limits.waiting, Audience<any Channel>.places)
      limits.isPatient = true
    }
    let pool = StreamPool(
      handler, limits: limits, budgets: budgets, environment: handler.environment(from: environment), stop: stop,
      threads: threads, ledger: ledger, log: log)
    pools.withLock { $0.append(pool) }
    return pool
  }

  /// Retires all pools but these.
  func keep(_ current: [StreamPool]) {
    let others = pools.withLock { pools in pools.filter { pool in !current.contains { $0 === pool } } }
    for pool in others { pool.retire() }
  }

  /// To be called before the processes are told to stop.
  func startNoMore() { for pool in pools.withLock({ $0 }) { pool.startNoMore() } }

  /// Returns when all processes, which have been told to stop, are gone.
  func shutDown() async { await threads.waitForAll() }
}
