import Handler
import Host
import NIOPosix
import Synchronization

/// The processes of all handlers, each in its mode, from one set of handlers to the next.
final class Processes: Sendable {
  let ledger = ProcessLedger()
  private let modes: ProcessModes
  private let oneShots: OneShotProcesses
  private let warm: WarmProcesses
  private let streams: StreamProcesses
  private let stop: StopSignal
  private let log: Log
  /// Those of the set that is kept.
  private let feeds = Mutex<[Feed]>([])

  init(_ settings: GatewaySettings, environment: [String: String], log: Log) throws(Problem) {
    guard let stop = StopSignal() else { throw Problem(.unavailable, "There are no descriptors left") }
    self.stop = stop
    self.log = log
    modes = settings.modes
    oneShots = OneShotProcesses(
      limits: settings.admission, budgets: settings.budgets, environment: environment, stop: stop, ledger: ledger,
      log: log)
    warm = WarmProcesses(
      limits: settings.admission, spares: settings.spares, budgets: settings.budgets, environment: environment,
      stop: stop, ledger: ledger, log: log)
    streams = StreamProcesses(
      limits: settings.stream, budgets: settings.budgets, environment: environment, stop: stop, ledger: ledger,
      log: log)
  }

  func mode(of handler: HostedHandler) -> ProcessMode { modes.mode(of: handler) }

  /// The set of these handlers. Those that are as they were in the old one keep their processes.
  func set(of handlers: [HostedHandler], after old: HandlerSet? = nil) throws(Problem) -> HandlerSet {
    let feeds = old?.feeds ?? []
    return try HandlerSet(handlers) { handler in
      switch mode(of: handler) {
      case .oneshot: oneShots
      case .warm: warm
      case .stream: streams.pool(for: handler, among: old?.endpoints.compactMap { $0.processes as? StreamPool } ?? [])
      }
    } feed: { step in
      feeds.first { $0.pool.handler == step }
        ?? Feed(streams.pool(for: step, among: []), on: MultiThreadedEventLoopGroup.singleton.next(), log: log)
    }
  }

  /// Whatever is not in this set ends with its last answer.
  func keep(_ set: HandlerSet) {
    warm.keep(set.endpoints.map(\.handler).filter { mode(of: $0) == .warm })
    let feeds = set.feeds
    let others = self.feeds.withLock { known in
      defer { known = feeds }
      return known.filter { feed in !feeds.contains { $0 === feed } }
    }
    for feed in others { feed.close() }
    streams.keep(set.endpoints.compactMap { $0.processes as? StreamPool } + feeds.map(\.pool))
  }

  /// Ends the streams of all who listen, and begins none any more: nobody waits for them.
  func endListening() { for feed in feeds.withLock({ $0 }) { feed.close() } }

  /// Tells all to stop, and returns when they are gone.
  func shutDown() async {
    streams.startNoMore()
    stop.give()
    await oneShots.shutDown()
    await warm.shutDown()
    await streams.shutDown()
  }
}
