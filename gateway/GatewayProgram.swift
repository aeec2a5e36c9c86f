import Contract
import Forms
import Glibc
import Host
import HummingbirdCore
import Limits
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// The gateway program: creates all parts of the gateway from its settings, and runs them until it is stopped.
enum GatewayProgram {
  /// Runs the gateway and returns the exit status: 0; 64 for wrong arguments; 70 if the server fails; 75 if an address
  /// is in use; 78 for wrong settings or handlers.
  static func main(arguments: [String], environment: [String: String]) async -> Int32 {
    let words = Array(arguments.dropFirst())
    guard let options = GatewayArguments(words) else {
      let isVersion = words == ["--version"]
      let isAsked = isVersion || words == ["--help"] || words == ["-h"]
      let text = Array((isVersion ? "gateway \(Build.version)\n" : usage).utf8)
      _ = write(isAsked ? 1 : 2, text, text.count)
      return isAsked ? 0 : 64
    }
    ProcessMemory.returnLargeBlocks()
    let log = Log(environment)
    signal(SIGPIPE, SIG_IGN)
    // Ignored until `Reloader` handles it.
    signal(SIGHUP, SIG_IGN)
    do throws(Problem) {
      let settings = try GatewaySettings(environment, only: options.only)
      let panel = try settings.panel.map { folder throws(Problem) in try Panel(folder: folder) }
      let website = try settings.website.map { folder throws(Problem) in
        try Website(folder: folder, hasDemo: settings.hasDemo)
      }
      let handlers = try settings.handlers.read(trust: settings.trust)
      guard let stop = StopSignal() else {
        log.error("There are no file descriptors left")
        return ExitStatus.of(status: 503)
      }
      let processes = EndpointProcesses(
        modes: settings.handlers.modes, sharesLimits: settings.sharesLimits, admission: settings.admission,
        stream: settings.stream,
        context: ProcessContext(
          budgets: settings.budgets, environment: environment, stop: stop, statistics: ProcessStatistics(), log: log))
      let endpoints = try processes.endpoints(of: handlers)
      if options.isCheck {
        await processes.shutDown()
        return 0
      }
      reportConfinement(log)
      if case .tcp(let host, let port) = settings.scgi, !SCGIAddress.tcp(host: host, port: port).isLocal {
        log.warn("Other machines can reach LEADPIPE_SCGI: whoever does chooses the client's address")
      }
      if handlers.isEmpty { log.warn("The folder contains no endpoint", ["folder": settings.handlers.folder]) }
      processes.keep(endpoints)
      let metrics = Metrics()
      let status = await serve(settings, (panel, website), processes, CurrentEndpoints(endpoints), metrics, log)
      await processes.shutDown()
      await metrics.waitUntilNothingIsInFlight(for: .seconds(1))
      if status == 0 { log.info("Gateway stopped") }
      return status
    } catch {
      for field in error.fields { log.error(field.message) }
      if error.fields.isEmpty { log.error(error.detail) }
      return error.kind == .misconfigured ? ExitStatus.misconfigured : ExitStatus.of(status: error.kind.status)
    }
  }

  /// Serves until the gateway is stopped. Returns the exit status.
  private static func serve(
    _ settings: GatewaySettings, _ files: (panel: Panel?, website: Website?), _ processes: EndpointProcesses,
    _ endpoints: CurrentEndpoints, _ metrics: Metrics, _ log: Log
  ) async -> Int32 {
    let readiness = Readiness()
    let logger = Logger(label: "gateway", factory: { _ in LibraryLog(log: log) })
    let reserved = 64 + 8 * settings.admission.slots + 96 * settings.stream.processes
    // Each listener has a limit of its own.
    let connections = raiseDescriptorLimit(reserved: reserved) / (settings.scgi == nil ? 1 : 2)
    let dispatcher = RequestDispatcher(
      endpoints: endpoints,
      connections: ClientConnections(proxies: settings.proxies, limit: settings.clientConnections, log: log),
      rateLimits: ClientRateLimits(settings.limits),
      sharedLimits: settings.sharesLimits
        ? SharedLimiter(rules: SharedRateLimits(settings.limits), ask: endpoints.askCounter) : nil,
      cors: settings.cors,
      blockedOrigins: BlockedOrigins(log: log),
      budgets: settings.budgets, metrics: metrics, readiness: readiness, slow: settings.slow, log: log,
      overloadLog: OverloadLog(log: log, metrics: metrics),
      refusalDelay: RefusalDelay(time: settings.stream.longestWait), idle: IdleConnections(limit: connections),
      panel: files.panel, website: files.website)
    let clients = ListeningService(
      address: settings.address, setup: HTTPListener(dispatcher: dispatcher), connections: connections, logger: logger
    ) { address in
      readiness.phase = .listening
      log.info("Gateway listening", ["address": address])
    }
    let reloader = Reloader(
      signals: await UnixSignalsSequence(trapping: .sighup), source: settings.handlers, processes: processes,
      endpoints: endpoints, readiness: readiness, metrics: metrics, log: log)
    // Services are stopped from the last to the first, so the operator's pages stay available while the others stop.
    var services = [
      ServiceGroupConfiguration.ServiceConfiguration(
        service: clients, successTerminationBehavior: .gracefullyShutdownGroup), .init(service: reloader),
      .init(service: MemoryReturn(), successTerminationBehavior: .ignore),
    ]
    if let address = settings.scgi {
      let service = ListeningService(
        address: address, scheme: "scgi", setup: SCGIListener(dispatcher: dispatcher), connections: connections,
        logger: logger
      ) { address in log.info("SCGI listening", ["address": address]) }
      services.insert(.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup), at: 1)
    }
    if let address = settings.operations {
      let pages = OperationsPages(
        settings: settings.document, endpoints: endpoints, processes: processes, metrics: metrics,
        readiness: readiness)
      let service = ListeningService(
        address: address, setup: OperationsListener(pages: pages), connections: 64, logger: logger
      ) { address in log.info("Operations listening", ["address": address]) }
      services.insert(.init(service: OptionalService(service: service, name: "operations", log: log)), at: 0)
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
    } catch let error as ListeningError {
      log.error(error.reason)
      return ExitStatus.of(status: 503)
    } catch is CancellationError {
      // The 15 seconds are over. Running requests are cut off, and each is logged.
    } catch {
      log.error("The server failed: \(error)")
      return ExitStatus.of(status: 500)
    }
    return 0
  }

  /// Raises the limit of open descriptors up to 16,384, as far as the system allows. Returns how many are left for
  /// connections, at least 64.
  private static func raiseDescriptorLimit(reserved: Int) -> Int {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return 256 }
    limit.rlim_cur = min(limit.rlim_max, 16_384)
    setrlimit(resource, &limit)
    return max(64, Int(limit.rlim_cur) - reserved)
  }
}
