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
    if let reply = try panelReply(head, from: peer, &exchange) { return .answered(reply) }
    if let reply = try websiteReply(head, from: peer, &exchange) { return .answered(reply) }
    let match: RouteTable<Endpoint>.Match
    let access: (Endpoint) -> Description.Access = { $0.handler.description.access }
    switch try Routing(head, in: routes, requestID: exchange.requestID, origin: exchange.origin, access: access) {
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

  /// Returns the reply to a request for the panel's files; nil for any other request. A handler's route comes first.
  private func panelReply(
    _ head: RequestHead, from peer: TrustedProxies.Peer, _ exchange: inout HTTPExchange
  ) throws(Problem) -> Reply? {
    guard let panel, Panel.has(head.target.path), case .none = routes.match(head.method, head.target.path) else {
      return nil
    }
    exchange.route = "/admin"
    // Pages of other origins have no use for them.
    exchange.origin = nil
    let quota = panel.admit(connections.address(peer: peer, forwardedFor: head.forwardedFor))
    guard quota.isAllowed else {
      exchange.quota = quota
      throw quota.problem
    }
    return try panel.reply(to: head, requestID: exchange.requestID)
  }

  /// Returns the reply to a request for a file of the chatbot; nil for any other request. A handler's route comes first.
  private func websiteReply(
    _ head: RequestHead, from peer: TrustedProxies.Peer, _ exchange: inout HTTPExchange
  ) throws(Problem) -> Reply? {
    guard let website, let file = website.file(at: head.target.path),
      case .none = routes.match(head.method, head.target.path)
    else { return nil }
    exchange.route = "/chatbot"
    // These files are for every origin.
    exchange.origin = nil
    let quota = website.admit(connections.address(peer: peer, forwardedFor: head.forwardedFor))
    guard quota.isAllowed else {
      exchange.quota = quota
      throw quota.problem
    }
    return Website.reply(file, to: head, requestID: exchange.requestID)
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
