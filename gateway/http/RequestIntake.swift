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
    switch routes.match(head.method, head.target.path) {
    case .found(let found): match = found
    case .none: throw Problem(.routeNotFound)
    case .otherMethod(let allow):
      if let method = CORSPolicy.preflightMethod(head) {
        return .answered(preflight(head, method, allow: allow, &exchange))
      }
      return .answered(Self.otherMethod(head.method, allow: allow, requestID: exchange.requestID))
    }
    let handler = match.target.handler
    let description = handler.description
    exchange.route = match.route.path
    exchange.handler = description.name
    exchange.access = description.access
    let client = connections.address(peer: peer, forwardedFor: head.forwardedFor)
    if let sharedLimits {
      exchange.admission = sharedLimits.admit(
        head.headers, hasBody: head.hasBody, of: client, to: description, on: loop)
    } else {
      exchange.quota = rateLimits.admit(head.headers, hasBody: head.hasBody, of: client, to: description)
    }
    if let quota = exchange.quota, !quota.isAllowed { throw quota.problem }
    var message = Request(
      method: head.method, path: head.target.path.raw, requestID: exchange.requestID, receivedAt: .now)
    message.rawQuery = head.target.rawQuery
    message.query = head.target.query
    message.headers = head.headers
    message.headers["x-request-id"] = exchange.requestID
    message.pathParameters = match.parameters
    message.sourceIP = client?.text ?? ""
    let limit = description.bodyLimit
    if let length = head.bodyLength, length > limit { throw Self.tooLarge(limit) }
    if head.hasBody { try message.requireJSONBody() }
    return .read(
      RoutedRequest(
        request: HandlerRequest(handler: handler, route: match.route, host: head.host, message: message),
        endpoint: match.target, client: client, hasBody: head.hasBody, bodyLimit: limit,
        expectsContinue: head.expectsContinue, quota: exchange.quota, admission: exchange.admission))
  }

  /// Returns the reply to a method that no route may have.
  func refuse(_ method: String, _ target: String, requestID: String) -> Reply {
    do throws(Problem) {
      switch routes.match(method, try RequestTarget(target).path) {
      case .otherMethod(let allow): return Self.otherMethod(method, allow: allow, requestID: requestID)
      case .found, .none: throw Problem(.routeNotFound)
      }
    } catch { return error.reply(requestID: requestID) }
  }

  private static func otherMethod(_ method: String, allow: [String], requestID: String) -> Reply {
    let allow = ["allow": allow.joined(separator: ", ")]
    if method == "OPTIONS" { return Reply(status: 204, headers: allow, body: []) }
    var reply = Problem(.methodNotAllowed, ["method": method]).reply(requestID: requestID)
    reply.headers.merge(allow) { $1 }
    return reply
  }

  /// Returns the reply to a preflight: what a page of another origin may send. The reply has no CORS headers if the
  /// intended request is not allowed.
  private func preflight(
    _ head: RequestHead, _ method: String, allow: [String], _ exchange: inout HTTPExchange
  ) -> Reply {
    if exchange.origin != nil, case .found(let match) = routes.match(method, head.target.path) {
      exchange.access = match.target.handler.description.access
      if let headers = CORSPolicy.preflightHeaders(head, methods: allow, access: exchange.access) {
        return Reply(status: 204, headers: headers, body: [])
      }
    }
    exchange.origin = nil
    return Reply(status: 204, headers: [:], body: [])
  }
}
