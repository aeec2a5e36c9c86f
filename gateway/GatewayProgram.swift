import Glibc
import Handler
import Host
import HummingbirdCore
import Limits
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// The gateway from its settings to its end.
enum Gateway {
  /// Runs until told to stop. Returns the exit status: 0, 64 for arguments, 75 when the address is taken, 78 for settings.
  static func main(arguments: [String], environment: [String: String]) async -> Int32 {
    let words = Array(arguments.dropFirst())
    guard words.isEmpty || words == ["--check"] else {
      let isHelp = words == ["--help"]
      let text = Array(usage.utf8)
      _ = write(isHelp ? 1 : 2, text, text.count)
      return isHelp ? 0 : 64
    }
    beginService(environment)
    let log = Log(environment)
    signal(SIGPIPE, SIG_IGN)
    // Until somebody listens to it, it means nothing.
    signal(SIGHUP, SIG_IGN)
    do throws(Problem) {
      let settings = try GatewaySettings(environment)
      let handlers = try HandlerSet.look(settings, trust: settings.trust)
      let processes = try Processes(settings, environment: environment, log: log)
      let set = try processes.set(of: handlers)
      if words == ["--check"] {
        await processes.shutDown()
        return 0
      }
      reportConfinement(log)
      if handlers.isEmpty { log.warn("No handler is an endpoint", ["folder": settings.handlerFolder]) }
      processes.keep(set)
      let status = await serve(settings, processes, CurrentHandlers(set), log)
      await processes.shutDown()
      if status == 0 { log.info("Gateway stopped") }
      return status
    } catch {
      for detail in error.details { log.error("\(detail.path) \(detail.message)") }
      if error.details.isEmpty { log.error(error.detail) }
      return error.kind == .misconfigured ? ExitStatus.misconfigured : ExitStatus.of(status: error.kind.status)
    }
  }

  /// Serves until told to stop; the exit status.
  private static func serve(
    _ settings: GatewaySettings, _ processes: Processes, _ handlers: CurrentHandlers, _ log: Log
  ) async -> Int32 {
    let metrics = Metrics()
    let health = Health()
    let logger = Logger(label: "gateway", factory: { _ in LibraryLog(log: log) })
    let ends = 6 * settings.stream.processes + 3 * settings.spares
    let connections = Descriptors.raise(reserved: 64 + 8 * settings.admission.places + 16 * ends)
    let responder = Responder(
      handlers: handlers,
      clients: Clients(
        limits: ClientLimits(settings.limits), proxies: settings.proxies, connections: settings.clientConnections,
        log: log),
      crossOrigin: CrossOrigin(origins: settings.origins), budgets: settings.budgets, metrics: metrics,
      health: health, slow: settings.slow, log: log, turnedAwayLog: TurnedAwayLog(log: log, metrics: metrics),
      antechamber: Antechamber(wait: settings.stream.longestWait))
    let clients = ListeningService(
      address: settings.address, setup: Listener(responder: responder), connections: connections, logger: logger
    ) { address in
      health.phase = .listening
      log.info("Gateway listening", ["address": address])
    }
    let reloader = Reloader(
      signals: await UnixSignalsSequence(trapping: .sighup), settings: settings, processes: processes,
      handlers: handlers, health: health, metrics: metrics, log: log)
    // They are told to stop from the last to the first: who asks while the others stop gets an answer.
    var services = [
      ServiceGroupConfiguration.ServiceConfiguration(
        service: clients, successTerminationBehavior: .gracefullyShutdownGroup), .init(service: reloader),
    ]
    if let address = settings.operations {
      let operations = Operations(
        settings: settings, handlers: handlers, processes: processes, metrics: metrics, health: health)
      let listener = OperationsListener(operations: operations)
      let service = ListeningService(address: address, setup: listener, connections: 64, logger: logger) { address in
        log.info("Operations listening", ["address": address])
      }
      services.insert(.init(service: service), at: 0)
    }
    return await run(services, log, logger)
  }

  private static func run(
    _ services: [ServiceGroupConfiguration.ServiceConfiguration], _ log: Log, _ logger: Logger
  ) async -> Int32 {
    var configuration = ServiceGroupConfiguration(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(15)
    do {
      try await ServiceGroup(configuration: configuration).run()
    } catch let error as ListeningFault {
      log.error(error.reason)
      return ExitStatus.of(status: 503)
    } catch is CancellationError {
      // The 15 seconds are over: what still runs is cut off, and says so.
    } catch {
      log.error("The server failed: \(error)")
      return ExitStatus.of(status: 500)
    }
    return 0
  }
}
