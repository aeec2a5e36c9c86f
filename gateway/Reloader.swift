import Contract
import Host
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// Reloads the handlers on SIGHUP. It is also the first service that is stopped.
struct Reloader: Service {
  /// Received SIGHUPs. They are handled before the first request is served.
  let signals: UnixSignalsSequence
  let source: HandlerSource
  let processes: EndpointProcesses
  let endpoints: CurrentEndpoints
  let readiness: Readiness
  let metrics: Metrics
  let log: Log

  func run() async throws {
    for await _ in signals.cancelOnGracefulShutdown() { await reload() }
    readiness.phase = .draining
    processes.closeFeeds()
  }

  /// Replaces the endpoints at once for all new requests. If any handler is invalid, nothing changes.
  private func reload() async {
    do {
      let set = try await NIOThreadPool.singleton.runIfActive {
        try processes.endpoints(of: try source.readAgain(), after: endpoints.set)
      }
      processes.keep(set)
      endpoints.set = set
      metrics.reloaded(true)
      log.info("Handlers reloaded", ["handlers": String(set.endpoints.count), "routes": String(set.routes.count)])
    } catch {
      metrics.reloaded(false)
      log.error("The handlers were not reloaded: \((error as? Problem)?.detail ?? "\(error)")")
    }
  }
}
