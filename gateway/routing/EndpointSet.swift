import Contract
import Host
import Limits
import NIOCore
import Synchronization
import Wire

/// The endpoints and their routes, from one reading of the handlers.
struct EndpointSet: Sendable {
  let endpoints: [Endpoint]
  let routes: RouteTable<Endpoint>
  /// The processes of the step that counts requests for all gateways; nil if this gateway counts in its memory.
  var counter: StreamPool?

  /// The feeds of all endpoints, each once.
  var feeds: [LiveFeed] {
    var feeds: [LiveFeed] = []
    for case let feed? in endpoints.map(\.feed) where !feeds.contains(where: { $0 === feed }) { feeds.append(feed) }
    return feeds
  }

  /// Throws if a description requires something that the gateway cannot do, or if two routes match the same requests.
  init(
    _ handlers: [HostedHandler], processes: (HostedHandler) -> any HandlerProcesses,
    feed: (HostedHandler) -> LiveFeed
  ) throws(Problem) {
    var feeds: [String: LiveFeed] = [:]
    endpoints = try handlers.filter { $0.description.kind == .endpoint }.map { handler throws(Problem) in
      try Self.check(handler.description)
      var endpoint = Endpoint(handler: handler, processes: processes(handler))
      if let step = try Self.feed(of: handler, among: handlers) {
        endpoint.feed = feeds[step.description.name] ?? feed(step)
        feeds[step.description.name] = endpoint.feed
      }
      return endpoint
    }
    do throws(InvalidRoutes) {
      routes = try RouteTable(
        endpoints.flatMap { endpoint in endpoint.handler.description.routes.map { ($0, endpoint) } }
          + OpenAPIEndpoint.routes(over: handlers))
    } catch { throw Problem.misconfigured(error.reason) }
  }

  /// Returns the step that feeds an endpoint. It must have the trust class of the endpoint, because the endpoint's
  /// handler decides which clients may see its events.
  private static func feed(of handler: HostedHandler, among all: [HostedHandler]) throws(Problem) -> HostedHandler? {
    guard let name = handler.description.feed else { return nil }
    guard let step = all.first(where: { $0.description.name == name }), step.description.kind == .step,
      step.trust == handler.trust
    else {
      let description = handler.description.name
      throw Problem.misconfigured(
        "\(description) describes the feed \(name), which is not a step of class \(handler.trust.rawValue)")
    }
    return step
  }

  private static func check(_ description: Description) throws(Problem) {
    guard RateClass(rawValue: description.rateClass) != nil else {
      throw Problem.misconfigured(
        "\(description.name) describes an unknown rate class; use lead, contact, admin, export or default")
    }
    // The gateway itself answers OPTIONS.
    let methods = RouteMethods.all.subtracting(["OPTIONS"])
    guard description.routes.allSatisfy({ methods.contains($0.method) }) else {
      let list = methods.sorted().joined(separator: ", ")
      throw Problem.misconfigured("\(description.name) describes a route with a method that is not one of \(list)")
    }
  }
}

/// The current endpoints, which a reload replaces.
final class CurrentEndpoints: Sendable {
  private let current: Mutex<EndpointSet>

  init(_ set: EndpointSet) { current = Mutex(set) }

  var set: EndpointSet {
    get { current.withLock { $0 } }
    set { current.withLock { $0 = newValue } }
  }
}

extension CurrentEndpoints {
  /// Sends a request to the step that counts requests for all gateways.
  func askCounter(_ body: JSON, on loop: any EventLoop) -> EventLoopFuture<SharedLimiter.Answer> {
    guard let counter = set.counter else {
      return loop.makeSucceededFuture(.failure(SharedLimiter.Unanswered(reason: "there is no such step")))
    }
    return counter.send(body, on: loop).map { result -> SharedLimiter.Answer in
      do throws(HandlerFailure) {
        let reply = try result.reply()
        if reply.status == 200, let answer = try? JSON(readingReply: reply.body) { return .success(answer) }
        return .failure(SharedLimiter.Unanswered(reason: "the step replied with status \(reply.status)"))
      } catch {
        var unanswered = SharedLimiter.Unanswered(reason: error.reason)
        if error.status == 503 { unanswered.problem = error.problem }
        unanswered.isExpected = error.isExpected
        return .failure(unanswered)
      }
    }
  }
}
