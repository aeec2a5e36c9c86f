import Handler
import Host
import NIOCore

/// A few long-lived processes for each handler, which are fed without waiting for their answers, so that a handler can do
/// the work of what has arrived together.
struct StreamProcesses: ProcessSource {
  private let pools: [String: StreamPool]
  private let threads = ThreadCount()

  /// Each handler gets its share of `environment`. No process is started before a request comes.
  init(
    _ handlers: [HostedHandler], limits: StreamLimits, environment: [String: String], stop: StopSignal, log: Log
  ) {
    let threads = threads
    let pools = handlers.map { handler in
      (
        handler.description.name,
        StreamPool(
          handler, limits: limits, environment: handler.environment(from: environment), stop: stop, threads: threads,
          log: log)
      )
    }
    self.pools = Dictionary(pools) { first, _ in first }
  }

  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    guard let pool = pools[call.endpoint.handler.description.name] else {
      return loop.makeSucceededFuture(HandlerResult(end: .notStarted(reason: "the handler has no stream processes")))
    }
    return pool.run(call, on: loop)
  }

  /// To be called before the processes are told to stop.
  func startNoMore() { for pool in pools.values { pool.startNoMore() } }

  /// Returns when all processes, which have been told to stop, are gone.
  func shutDown() async { await threads.waitForAll() }
}
