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

    Answers HTTP requests by the handlers in a folder, one process a request. Settings are environment variables:
      PORT                  4000; 0 takes a free one
      LEADPIPE_HOST         127.0.0.1
      LEADPIPE_LISTEN       unix:/path listens there instead
      LEADPIPE_HANDLERS     the folder of handlers (`handlers` beside this program)
      LEADPIPE_TRUST        a JSON file {"name": "intake|worker|admin|none"} for handlers that are not ours
      LEADPIPE_PROCESS      oneshot
      LEADPIPE_CONCURRENCY  how many handler processes run at a time (16)
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
      let processes = OneShotProcesses(concurrency: settings.concurrency, environment: environment, stop: stop)
      let status = await listen(settings, try routes(handlers, processes), log)
      await processes.shutDown()
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
      return endpoints
    } catch { throw Problem(.misconfigured, error.reason) }
  }

  /// The table of their routes. This is where a route gets its process source: here all have the same.
  private static func routes(
    _ handlers: [HostedHandler], _ processes: any ProcessSource
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
          handler.description.routes.map { ($0, Endpoint(handler: handler, processes: processes)) }
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
    let admission = Admission(places: settings.concurrency, waitingPlaces: 256, longestWait: .seconds(1))
    let clients = Clients(
      limits: ClientLimits(settings.limits), proxies: settings.proxies, connections: settings.clientConnections,
      log: log)
    let responder = Responder(
      routes: routes, admission: admission, clients: clients, crossOrigin: CrossOrigin(origins: settings.origins),
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
