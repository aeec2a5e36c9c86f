import Contract
import Host
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// Re-reads the handlers at SIGHUP, and knows first that the gateway is to stop.
struct Reloader: Service {
  /// SIGHUP, from before the first request on.
  let signals: UnixSignalsSequence
  let settings: GatewaySettings
  let processes: Processes
  let handlers: CurrentHandlers
  let health: Health
  let metrics: Metrics
  let log: Log

  func run() async throws {
    for await _ in signals.cancelOnGracefulShutdown() { await reload() }
    health.phase = .draining
    processes.endListening()
  }

  /// New requests get the new set from one moment to the next. A set that is faulty changes nothing.
  private func reload() async {
    do {
      let set = try await NIOThreadPool.singleton.runIfActive { try lookAgain() }
      processes.keep(set)
      handlers.set = set
      metrics.reloaded(true)
      log.info("Handlers read again", ["handlers": String(set.endpoints.count), "routes": String(set.routes.count)])
    } catch {
      metrics.reloaded(false)
      log.error("The handlers stay as they were: \((error as? Problem)?.detail ?? "\(error)")")
    }
  }

  private func lookAgain() throws(Problem) -> HandlerSet {
    let trust: [String: Trusted]
    do throws(Problem) { trust = try settings.trustAgain() } catch {
      throw Problem(.misconfigured, "LEADPIPE_TRUST \(error.detail)")
    }
    let found = try HandlerSet.look(settings, trust: trust)
    return try processes.set(of: found, after: handlers.set)
  }
}
