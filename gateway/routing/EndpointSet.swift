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
      let feeds = Set(endpoints.compactMap(\.description.feed))
      return handlers.filter { $0.description.kind == .endpoint || feeds.contains($0.description.name) }
        .map { $0.held(to: settings.budgets) }
    } catch { throw Problem(.misconfigured, error.reason) }
  }

  /// What listeners of endpoints hear.
  var feeds: [Feed] {
    var feeds: [Feed] = []
    for case let feed? in endpoints.map(\.feed) where !feeds.contains(where: { $0 === feed }) { feeds.append(feed) }
    return feeds
  }

  /// Refuses descriptions that this gateway cannot keep, and routes that mean the same requests.
  init(
    _ handlers: [HostedHandler], processes: (HostedHandler) -> any ProcessSource, feed: (HostedHandler) -> Feed
  ) throws(Problem) {
    var feeds: [String: Feed] = [:]
    endpoints = try handlers.filter { $0.description.kind == .endpoint }.map { handler throws(Problem) in
      try Self.check(handler.description)
      var endpoint = Endpoint(handler: handler, processes: processes(handler))
      if let step = try Self.feed(of: handler, among: handlers) {
        endpoint.feed = feeds[step.description.name] ?? feed(step)
        feeds[step.description.name] = endpoint.feed
      }
      return endpoint
    }
    do throws(RouteTable<Endpoint>.Failure) {
      routes = try RouteTable(
        endpoints.flatMap { endpoint in endpoint.handler.description.routes.map { ($0, endpoint) } }
          + OpenAPIEndpoint.route(over: handlers))
    } catch { throw Problem(.misconfigured, error.reason) }
  }

  /// The step that feeds an endpoint. Only one of its own class may: an endpoint decides who hears what its feed knows.
  private static func feed(of handler: HostedHandler, among all: [HostedHandler]) throws(Problem) -> HostedHandler? {
    guard let name = handler.description.feed else { return nil }
    guard let step = all.first(where: { $0.description.name == name }), step.description.kind == .step,
      step.trust == handler.trust
    else {
      throw Problem(
        .misconfigured,
        "\(handler.description.name) describes the feed \(name), which is no step of class \(handler.trust.rawValue)")
    }
    return step
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
