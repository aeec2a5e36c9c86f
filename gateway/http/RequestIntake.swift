import Contract
import Host
import Limits
import NIOCore
import Wire

/// The intake of requests: finds the route for the head of a request, or replies at once.
extension RequestDispatcher {
  enum IntakeResult: Sendable {
    case read(RoutedRequest)
    case answered(Reply)
  }

  /// Finds the route of `head`, counts the request, and refuses what can be refused before the body is read. The checks
  /// are, in this order: route, method, rate limit, size of the body, content type.
  ///
  /// Limits that gateways share are asked meanwhile: `answer` and `settled` wait for their decision.
  func receive(
    _ head: RequestHead, from peer: TrustedProxies.Peer, _ exchange: inout HTTPExchange, on loop: any EventLoop
  ) throws(Problem) -> IntakeResult {
    let match: RouteTable<Endpoint>.Match
    let access: (Endpoint) -> Description.Access = { $0.handler.description.access }
    let routing: Routing<Endpoint>
    do throws(Problem) {
      routing = try Routing(head, in: routes, requestID: exchange.requestID, origin: exchange.origin, access: access)
    } catch {
      guard error.code == .routeNotFound, let reply = try fileReply(head, from: peer, &exchange) else { throw error }
      return .answered(reply)
    }
    switch routing {
    case .found(let found): match = found
    case .answered(let reply, let origin, let access):
      (exchange.origin, exchange.access) = (origin, access)
      return .answered(reply)
    }
    let handler = match.target.handler
    let description = handler.description
    exchange.route = match.route.path
    exchange.handler = description.name
    exchange.access = description.access
    exchange.refusalPage = RefusalPage(head.headers, to: description)
    let client = connections.address(peer: peer, forwardedFor: head.forwardedFor)
    let message = Request(
      head, to: description, requestID: exchange.requestID, parameters: match.parameters, sourceIP: client?.text ?? "",
      receivedAt: .now)
    if let sharedLimits {
      exchange.admission = sharedLimits.admit(
        message.headers, hasBody: head.hasBody, of: client, to: description, on: loop)
    } else {
      exchange.quota = rateLimits.admit(message.headers, hasBody: head.hasBody, of: client, to: description)
    }
    if let quota = exchange.quota, !quota.isAllowed { throw quota.problem }
    let limit = description.bodyLimit
    try message.checkBody(head, to: description)
    return .read(
      RoutedRequest(
        request: HandlerRequest(handler: handler, route: match.route, host: head.host, message: message),
        endpoint: match.target, client: client, hasBody: head.hasBody, bodyLimit: limit,
        expectsContinue: head.expectsContinue, quota: exchange.quota, admission: exchange.admission))
  }

  /// Returns the reply to a request for a file of the panel, the chatbot or the forms; nil for any other request.
  private func fileReply(
    _ head: RequestHead, from peer: TrustedProxies.Peer, _ exchange: inout HTTPExchange
  ) throws(Problem) -> Reply? {
    let client = connections.address(peer: peer, forwardedFor: head.forwardedFor)
    if let panel, Panel.has(head.target.path) {
      // Pages of other origins have no use for the panel's files.
      try count(panel.admit(client), "/admin", &exchange)
      return try panel.reply(to: head, requestID: exchange.requestID)
    }
    guard let website, let file = website.file(at: head.target.path) else { return nil }
    // These files are for every origin, which they say themselves.
    try count(website.admit(client), "/chatbot", &exchange)
    return Website.reply(file, to: head, requestID: exchange.requestID)
  }

  /// Counts a request for a file, which no origin gets a permission for.
  private func count(_ quota: Quota, _ route: String, _ exchange: inout HTTPExchange) throws(Problem) {
    exchange.route = route
    exchange.origin = nil
    guard quota.isAllowed else {
      exchange.quota = quota
      throw quota.problem
    }
  }

  /// Returns the reply to a method that no route may have.
  func refuse(_ method: String, _ target: String, requestID: String) -> Reply {
    do throws(Problem) {
      switch routes.match(method, try RequestTarget(target).path) {
      case .otherMethod(let allow): return Reply.otherMethod(method, allow: allow, requestID: requestID)
      case .found, .none: throw Problem(.routeNotFound)
      }
    } catch { return error.reply(requestID: requestID) }
  }
}
