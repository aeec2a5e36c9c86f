import Contract
import Host
import NIOPosix
import Synchronization

/// Gives each endpoint its processes and its feed. When the handlers are reloaded, unchanged handlers keep theirs.
final class EndpointProcesses: Sendable {
  let statistics: ProcessStatistics
  private let modes: ProcessModes
  private let sharesLimits: Bool
  private let oneShots: OneShotProcesses
  /// For handlers whose body follows: each keeps its process for long, so these are few and take no others' turns.
  private let followers: OneShotProcesses
  private static let followerLimits = AdmissionLimits(slots: 4, slotsPerHandler: 4, queuePerHandler: 4)
  private let streams: StreamPools
  private let context: ProcessContext
  /// The feeds of the current endpoints.
  private let feeds = Mutex<[LiveFeed]>([])

  /// - Parameter sharesLimits: true if a step counts the requests in the database.
  init(
    modes: ProcessModes, sharesLimits: Bool = false, admission: AdmissionLimits, stream: StreamLimits,
    context: ProcessContext
  ) {
    self.modes = modes
    self.sharesLimits = sharesLimits
    self.context = context
    statistics = context.statistics
    oneShots = OneShotProcesses(limits: admission, context: context)
    followers = OneShotProcesses(limits: Self.followerLimits, context: context)
    streams = StreamPools(limits: stream, context: context)
  }

  func mode(of handler: HostedHandler) -> ProcessMode { modes.mode(of: handler) }

  /// Returns the endpoints of these handlers. A handler that is unchanged since the old set keeps its processes.
  func endpoints(of handlers: [HostedHandler], after old: EndpointSet? = nil) throws(Problem) -> EndpointSet {
    let oldPools = old?.endpoints.compactMap { $0.processes as? StreamPool } ?? []
    let oldFeeds = old?.feeds ?? []
    var set = try EndpointSet(handlers) { handler in
      switch mode(of: handler) {
      case .oneshot: handler.description.bodyFollows ? followers : oneShots
      case .stream:
        // After a restart, all subscribers reconnect at the same time.
        streams.pool(
          for: handler, among: oldPools,
          burst: handler.description.feed == nil ? nil : LiveSubscribers<Never>.capacity)
      }
    } feed: { step in
      oldFeeds.first { $0.pool.handler == step }
        ?? LiveFeed(streams.pool(for: step), on: MultiThreadedEventLoopGroup.singleton.next(), log: context.log)
    }
    if sharesLimits {
      set.counter = streams.pool(for: try counter(among: handlers), among: [old?.counter].compactMap(\.self))
    }
    return set
  }

  private func counter(among handlers: [HostedHandler]) throws(Problem) -> HostedHandler {
    guard
      let step = handlers.first(where: { $0.description.name == HandlerSource.counter && $0.description.kind == .step }
      ),
      step.trust == .intake
    else {
      throw Problem.misconfigured(
        "RATE_LIMIT_STORE is postgres, and the folder of the handlers has no step \(HandlerSource.counter) of class intake"
      )
    }
    return step
  }

  /// Retires all processes that this set does not use. Each ends after its last reply.
  func keep(_ set: EndpointSet) {
    let feeds = set.feeds
    let removed = self.feeds.withLock { known in
      defer { known = feeds }
      return known.filter { feed in !feeds.contains { $0 === feed } }
    }
    for feed in removed { feed.close() }
    streams.keep(
      set.endpoints.compactMap { $0.processes as? StreamPool } + feeds.map(\.pool) + [set.counter].compactMap(\.self))
  }

  /// Ends all live streams and accepts no more subscribers, so that stopping does not wait for them.
  func closeFeeds() { for feed in feeds.withLock({ $0 }) { feed.close() } }

  /// Stops all processes. Returns when they have ended.
  func shutDown() async {
    streams.stopStarting()
    context.stop.send()
    await oneShots.shutDown()
    await followers.shutDown()
    await streams.shutDown()
  }
}
