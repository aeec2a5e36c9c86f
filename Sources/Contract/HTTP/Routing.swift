import Wire

/// What is decided about a request from its head alone, in the same way by every server: its route, or the reply that
/// needs no handler.
package enum Routing<Target: Sendable>: Sendable {
  case found(RouteTable<Target>.Match)
  /// - Parameters:
  ///   - origin: the origin of the page that may read the reply; nil if there is none.
  ///   - access: the access of the route that a preflight asks about.
  case answered(Reply, origin: WebOrigin?, access: Description.Access)
}

extension Routing {
  /// Finds the route of `head`. Throws if the path has no route.
  /// - Parameter origin: the origin of the page that sent the request, if it may read replies.
  package init(
    _ head: RequestHead, in routes: RouteTable<Target>, requestID: String, origin: WebOrigin?,
    access: (Target) -> Description.Access
  ) throws(Problem) {
    switch routes.match(head.method, head.target.path) {
    case .found(let match): self = .found(match)
    case .none: throw Problem(.routeNotFound)
    case .otherMethod(let allow):
      guard let method = CORSPolicy.preflightMethod(head) else {
        self = .answered(
          Reply.otherMethod(head.method, allow: allow, requestID: requestID), origin: origin, access: .public)
        return
      }
      if let origin, case .found(let match) = routes.match(method, head.target.path) {
        let access = access(match.target)
        if let headers = CORSPolicy.preflightHeaders(head, methods: allow, access: access) {
          self = .answered(Reply(status: 204, headers: headers, body: []), origin: origin, access: access)
          return
        }
      }
      self = .answered(Reply(status: 204, headers: [:], body: []), origin: nil, access: .public)
    }
  }
}

extension Reply {
  /// The reply to a method that the routes of a path do not have: 405 with Allow, or 204 for OPTIONS.
  package static func otherMethod(_ method: String, allow: [String], requestID: String) -> Reply {
    let allow = ["allow": allow.joined(separator: ", ")]
    if method == "OPTIONS" { return Reply(status: 204, headers: allow, body: []) }
    var reply = Problem(.methodNotAllowed, ["method": method]).reply(requestID: requestID)
    reply.headers.merge(allow) { $1 }
    return reply
  }
}

extension Request {
  /// Creates the request for a handler from a head whose route is known. The body follows later.
  package init(
    _ head: RequestHead, to description: Description, requestID: String, parameters: [String: String],
    sourceIP: String, receivedAt: Instant
  ) {
    self.init(method: head.method, path: head.target.path.raw, requestID: requestID, receivedAt: receivedAt)
    rawQuery = head.target.rawQuery
    query = head.target.query
    headers = head.headers
    headers["x-request-id"] = requestID
    if description.ignoresCookies { headers["cookie"] = nil }
    pathParameters = parameters
    self.sourceIP = sourceIP
  }

  /// Refuses a body that is too large, or neither JSON nor a form that the handler takes, before it is read.
  package func checkBody(_ head: RequestHead, to description: Description) throws(Problem) {
    if let length = head.bodyLength, length > description.bodyLimit { throw .tooLarge(description.bodyLimit) }
    guard head.hasBody else { return }
    if description.takesForms, isForm { try requireNoCoding() } else { try requireJSONBody() }
  }
}

extension Problem {
  package static func tooLarge(_ limit: Int) -> Problem { Problem(.bodyTooLarge, ["max": limit]) }
}
