import Handler
import Host
import Limits
import Wire

/// A request whose route is known, and whose body may be read.
struct Call: Sendable {
  var request: Request
  let route: Description.Route
  let endpoint: Endpoint
  /// Nil where nobody knows its address.
  let client: ClientAddress?
  let host: String
  let hasBody: Bool
  let bodyLimit: Int
  let expectsContinue: Bool

  /// The same under an id that no other has: clients choose theirs, and two may choose the same. What they chose is its beginning.
  var namedAnew: Call {
    var call = self
    call.request.requestID = String(request.requestID.prefix(64)) + "." + UUIDText.random().text
    return call
  }

  /// What the handler gets, now that it gets it. It has a little less time than we wait: its own answer, that it was too
  /// slow, tells more than ours.
  func envelope() -> [UInt8] {
    var request = request
    let limit = endpoint.handler.description.timeLimitMs
    request.deadline = Instant(milliseconds: Instant.now.milliseconds + limit - min(500, limit / 10))
    return request.envelope(routeKey: route.key, userAgent: request.headers["user-agent"] ?? "", host: host).bytes
  }
}

/// From the head of a request to its route, or to the reply that it gets at once.
extension Responder {
  /// What becomes of a head: the request is read, or answered at once.
  enum Reception: Sendable {
    case read(Call)
    case answered(Reply)
  }

  /// Finds the route of `head`, counts the request, and refuses what can be refused before its body: no route, the wrong
  /// method, too many requests, too large a body, the wrong type of one, in this order.
  func receive(
    _ head: RequestHead, from peer: TrustedProxies.Peer, _ exchange: inout Exchange
  ) throws(Problem) -> Reception {
    let found: RouteTable<Endpoint>.Found
    switch routes.match(head.method, head.target.path) {
    case .found(let match): found = match
    case .none: throw Problem(.notFound, "there is no such route")
    case .otherMethod(let allow):
      if let method = CrossOrigin.preflight(head) {
        return .answered(preflight(head, method, allow: allow, &exchange))
      }
      return .answered(Self.otherMethod(head.method, allow: allow, requestID: exchange.requestID))
    }
    let description = found.target.handler.description
    exchange.pattern = found.route.path
    exchange.handler = description.name
    exchange.access = description.access
    let client = clients.address(of: head, peer: peer)
    exchange.quota = clients.limits.admit(head, of: client, to: description)
    if let quota = exchange.quota, !quota.verdict.isAllowed { throw quota.problem }
    var request = Request(
      method: head.method, path: head.target.path.raw, requestID: exchange.requestID, receivedAt: .now)
    request.rawQuery = head.target.rawQuery
    request.query = head.target.query
    request.headers = head.headers
    request.headers["x-request-id"] = exchange.requestID
    request.pathParameters = found.parameters
    request.sourceIP = client?.text ?? ""
    let limit = description.bodyLimit
    if let length = head.bodyLength, length > limit { throw Self.tooLarge(limit) }
    if head.hasBody { try request.requireJSONBody() }
    return .read(
      Call(
        request: request, route: found.route, endpoint: found.target, client: client, host: head.host,
        hasBody: head.hasBody, bodyLimit: limit, expectsContinue: head.expectsContinue))
  }

  /// The answer to a method that no route can have.
  func refuse(_ method: String, _ target: String, requestID: String) -> Reply {
    do throws(Problem) {
      switch routes.match(method, try RequestTarget(target).path) {
      case .otherMethod(let allow): return Self.otherMethod(method, allow: allow, requestID: requestID)
      case .found, .none: throw Problem(.notFound, "there is no such route")
      }
    } catch { return error.reply(requestID: requestID) }
  }

  private static func otherMethod(_ method: String, allow: [String], requestID: String) -> Reply {
    let allow = ["allow": allow.joined(separator: ", ")]
    if method == "OPTIONS" { return Reply(status: 204, headers: allow, body: []) }
    var reply = Problem(.methodNotAllowed, "this route has no \(method)").reply(requestID: requestID)
    reply.headers.merge(allow) { $1 }
    return reply
  }

  /// Says what a page of another origin may send, where that is what it asks for; else nothing.
  private func preflight(
    _ head: RequestHead, _ method: String, allow: [String], _ exchange: inout Exchange
  ) -> Reply {
    if exchange.origin != nil, case .found(let found) = routes.match(method, head.target.path) {
      exchange.access = found.target.handler.description.access
      if let headers = CrossOrigin.preflight(head, methods: allow, access: exchange.access) {
        return Reply(status: 204, headers: headers, body: [])
      }
    }
    exchange.origin = nil
    return Reply(status: 204, headers: [:], body: [])
  }
}
