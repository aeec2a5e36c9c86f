import Handler
import Host
import Limits
import Synchronization

/// The handlers that answer routes, as they were found at one time.
struct HandlerSet: Sendable {
  let endpoints: [Endpoint]
  let routes: RouteTable<Endpoint>

  /// The handlers of the folder, asked what they are, each with the limits that hold for it: this takes time, and blocks.
  static func look(_ settings: GatewaySettings, trust: [String: Trusted]) throws(Problem) -> [HostedHandler] {
    let folder = settings.handlerFolder
    do throws(HandlerFolder.Failure) {
      let handlers = try HandlerFolder(path: folder, trust: trust).handlers
      let endpoints = handlers.filter { $0.description.kind == .endpoint }
      let strangers = settings.modes.strangers(among: endpoints)
      guard strangers.isEmpty else {
        throw HandlerFolder.Failure(
          reason: "LEADPIPE_PROCESS names what is no endpoint in \(folder): \(strangers.joined(separator: ", "))")
      }
      return endpoints.map { $0.held(to: settings.budgets) }
    } catch { throw Problem(.misconfigured, error.reason) }
  }

  /// Refuses descriptions that this gateway cannot keep, and routes that mean the same requests.
  init(_ handlers: [HostedHandler], processes: (HostedHandler) -> any ProcessSource) throws(Problem) {
    for handler in handlers { try Self.check(handler.description) }
    endpoints = handlers.map { Endpoint(handler: $0, processes: processes($0)) }
    do throws(RouteTable<Endpoint>.Failure) {
      routes = try RouteTable(
        endpoints.flatMap { endpoint in endpoint.handler.description.routes.map { ($0, endpoint) } }
          + OpenAPIEndpoint.route(over: handlers))
    } catch { throw Problem(.misconfigured, error.reason) }
  }

  private static func check(_ description: Description) throws(Problem) {
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
}

/// The set of handlers that new requests get. A request that has found its route keeps the set that it was found in.
final class CurrentHandlers: Sendable {
  private let current: Mutex<HandlerSet>

  init(_ set: HandlerSet) { current = Mutex(set) }

  var set: HandlerSet {
    get { current.withLock { $0 } }
    set { current.withLock { $0 = newValue } }
  }
}
