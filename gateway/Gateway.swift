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
  private static let usage = """
    usage: gateway

    Answers HTTP requests by the handlers in a folder. Settings are environment variables:
      PORT                  4000; 0 takes a free one
      LEADPIPE_HOST         127.0.0.1
      LEADPIPE_LISTEN       unix:/path listens there instead
      LEADPIPE_HANDLERS     the folder of handlers (`handlers` beside this program)
      LEADPIPE_TRUST        a JSON file {"name": "intake|worker|admin|none"} for handlers that are not ours
      LEADPIPE_PROCESS      oneshot: a process for each request; warm: the same, started ahead; stream: a few that take
                            many; for single handlers by their names: stream,health-check=oneshot (our own handlers
                            stream, others oneshot)
      LEADPIPE_CONCURRENCY  how many processes that take one request run at a time (16)
      LEADPIPE_WARM_SPARES  how many processes wait for each warm handler that is in use (2)
      LEADPIPE_STREAM_PROCESSES  how many stream processes a handler has (2)
      LEADPIPE_STREAM_WINDOW     how many requests one of them has before it at a time (64)
      LEADPIPE_STREAM_QUEUE      how many requests of a handler wait for a place there, a second at most (256)
      LEADPIPE_STREAM_REQUESTS, LEADPIPE_STREAM_MINUTES
                            after how many requests, and minutes, one is replaced (100000, 10)
      LEADPIPE_CLIENT_CONNECTIONS  how many connections a client may have open (256)
      RATE_LIMIT_LEAD, _CONTACT, _ADMIN, _EXPORT, _DEFAULT
                            requests in seconds for each client, or off (10/60, 5/60, 120/60, 5/60, 60/60)
      RATE_LIMIT_STORE      memory
      TRUSTED_PROXIES       whose X-Forwarded-For counts: addresses, networks and unix, or hops:N (nobody's)
      FRONTEND_URL          its origin may read replies in a browser
      ALLOWED_ORIGINS       further origins, separated by commas
      LOG_LEVEL             debug, info, warn, error (info)
      LOG_FORMAT            text, json (text)
    SIGTERM and SIGINT end it when running requests are finished, at the latest after 15 seconds.

    """

  /// Runs until told to stop. Returns the exit status: 0, 64 for arguments, 75 when the address is taken, 78 for settings.
  static func main(arguments: [String], environment: [String: String]) async -> Int32 {
    guard arguments.count == 1 else {
      let isHelp = Array(arguments.dropFirst()) == ["--help"]
      let text = Array(usage.utf8)
      _ = write(isHelp ? 1 : 2, text, text.count)
      return isHelp ? 0 : 64
    }
    beginService(environment)
    let log = Log(environment)
    do throws(Problem) {
      let settings = try GatewaySettings(environment)
      reportConfinement(log)
      let handlers = try endpoints(settings, log)
      signal(SIGPIPE, SIG_IGN)
      guard let stop = StopSignal() else { throw Problem(.unavailable, "There are no descriptors left") }
      let oneShots = OneShotProcesses(concurrency: settings.concurrency, environment: environment, stop: stop)
      let warm = WarmProcesses(
        handlers.filter { settings.modes.mode(of: $0) == .warm }, concurrency: settings.concurrency,
        spares: settings.spares, environment: environment, stop: stop)
      let streams = StreamProcesses(
        handlers.filter { settings.modes.mode(of: $0) == .stream }, limits: settings.stream, environment: environment,
        stop: stop, log: log)
      let table = try routes(handlers) { handler in
        switch settings.modes.mode(of: handler) {
        case .oneshot: oneShots
        case .warm: warm
        case .stream: streams
        }
      }
      let status = await listen(settings, table, log)
      streams.startNoMore()
      stop.give()
      await oneShots.shutDown()
      await warm.shutDown()
      await streams.shutDown()
      if status == 0 { log.info("Gateway stopped") }
      return status
    } catch {
      for detail in error.details { log.error("\(detail.path) \(detail.message)") }
      if error.details.isEmpty { log.error(error.detail) }
      return error.kind == .misconfigured ? ExitStatus.misconfigured : ExitStatus.of(status: error.kind.status)
    }
  }

  /// The handlers that answer routes, asked what they are.
  private static func endpoints(_ settings: GatewaySettings, _ log: Log) throws(Problem) -> [HostedHandler] {
    do throws(HandlerFolder.Failure) {
      let folder = try HandlerFolder(path: settings.handlerFolder, trust: settings.trust)
      let endpoints = folder.handlers.filter { $0.description.kind == .endpoint }
      if endpoints.isEmpty { log.warn("No handler is an endpoint", ["folder": settings.handlerFolder]) }
      let strangers = settings.modes.strangers(among: endpoints)
      guard strangers.isEmpty else {
        throw HandlerFolder.Failure(
          reason: "LEADPIPE_PROCESS names what is no endpoint in \(settings.handlerFolder): "
            + strangers.joined(separator: ", "))
      }
      return endpoints
    } catch { throw Problem(.misconfigured, error.reason) }
  }

  /// The table of their routes, each with the source of its processes.
  private static func routes(
    _ handlers: [HostedHandler], processes: (HostedHandler) -> any ProcessSource
  ) throws(Problem) -> RouteTable<Endpoint> {
    for description in handlers.map(\.description) {
      guard RateClass(rawValue: description.rateClass) != nil else {
        throw Problem(
          .misconfigured,
          "\(description.name) describes a rate class that is none: lead, contact, admin, export, default")
      }
      // OPTIONS is answered by the gateway itself.
      let methods = FramingScanner.methods.subtracting(["OPTIONS"])
      guard description.routes.allSatisfy({ methods.contains($0.method) }) else {
        let list = methods.sorted().joined(separator: ", ")
        throw Problem(.misconfigured, "\(description.name) describes a route with a method that is none of \(list)")
      }
    }
    do throws(RouteTable<Endpoint>.Failure) {
      return try RouteTable(
        handlers.flatMap { handler in
          handler.description.routes.map { ($0, Endpoint(handler: handler, processes: processes(handler))) }
        })
    } catch { throw Problem(.misconfigured, error.reason) }
  }

  /// Serves until told to stop; the exit status.
  private static func listen(
    _ settings: GatewaySettings, _ routes: RouteTable<Endpoint>, _ log: Log
  ) async -> Int32 {
    if case .unix(let path) = settings.address, await isAnswered(path) {
      log.error("\(path) is in use by another program")
      return ExitStatus.of(status: 503)
    }
    let clients = Clients(
      limits: ClientLimits(settings.limits), proxies: settings.proxies, connections: settings.clientConnections,
      log: log)
    let responder = Responder(
      routes: routes, clients: clients, crossOrigin: CrossOrigin(origins: settings.origins),
      log: log)
    let logger = Logger(label: "gateway", factory: { _ in LibraryLog(log: log) })
    let connections = Descriptors.raise(reserved: 64 + 8 * settings.concurrency)
    let server = Server(
      childChannelSetup: Listener(responder: responder),
      configuration: ServerConfiguration(
        address: settings.address.bound, availableConnectionsDelegate: .maximum(connections, logger: logger)),
      onServerRunning: { channel in log.info("Gateway listening", ["address": settings.address.text(channel)]) },
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
    var configuration = ServiceGroupConfiguration(
      services: [.init(service: server, successTerminationBehavior: .gracefullyShutdownGroup)],
      gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(15)
    do {
      try await ServiceGroup(configuration: configuration).run()
    } catch let error as IOError {
      log.error("\(settings.address.text(nil)) cannot be listened on: \(String(cString: strerror(error.errnoCode)))")
      return ExitStatus.of(status: 503)
    } catch is CancellationError {
      // The 15 seconds are over: what still runs is cut off, and says so.
    } catch {
      log.error("The server failed: \(error)")
      return ExitStatus.of(status: 500)
    }
    if case .unix(let path) = settings.address { unlink(path) }
    return 0
  }

  /// Whether somebody listens on a unix socket: the server would take its path away.
  private static func isAnswered(_ path: String) async -> Bool {
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    guard let channel = try? await bootstrap.connect(unixDomainSocketPath: path).get() else { return false }
    try? await channel.close()
    return true
  }
}

extension GatewaySettings.Address {
  fileprivate var bound: BindAddress {
    switch self {
    case .tcp(let host, let port): .hostname(host, port: port)
    case .unix(let path): .unixDomainSocket(path: path)
    }
  }

  /// For the log; with the port that the system chose, once there is a channel.
  fileprivate func text(_ channel: (any Channel)?) -> String {
    switch self {
    case .tcp(let host, let port):
      "http://\(host.contains(":") ? "[\(host)]" : host):\(channel?.localAddress?.port ?? port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}
