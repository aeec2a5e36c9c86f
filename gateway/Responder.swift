import Handler
import Host
import Limits
import NIOHTTP1
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
}

/// A reply, and what the access log says of how it came about.
struct Answer: Sendable {
  var reply: Reply
  var facts: [(key: String, value: String)] = []
  /// Where it is another limit than that of the request's class which has refused it.
  var quota: Quota?
}

/// From the head of a request to a route, and from a complete request to a reply.
struct Responder: Sendable {
  /// No body is larger than this, whatever a description says.
  static let bodyLimit = 262_144
  /// Headers of a reply that are the gateway's alone: no handler may open a reply to another origin, or invent a limit.
  private static let ownHeaders = ["access-control-", "ratelimit", "x-ratelimit-"]

  let routes: RouteTable<Endpoint>
  let admission: Admission
  let clients: Clients
  let crossOrigin: CrossOrigin
  let log: Log

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
    let limit = min(Self.bodyLimit, description.bodyLimit)
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

  static func tooLarge(_ limit: Int) -> Problem { Problem(.tooLarge, "the body is larger than \(limit) bytes") }

  /// Answers a complete request by a handler process. Every 502 and 504 is explained by one log line.
  func answer(_ call: Call) async -> Answer {
    let requestID = call.request.requestID
    let handler = call.endpoint.handler
    let arrival = ContinuousClock.now
    guard await admission.enter() else {
      let problem = Problem(.unavailable, "too many requests are waiting", retryAfter: 1)
      return Answer(reply: problem.reply(requestID: requestID))
    }
    let queueMs = (ContinuousClock.now - arrival).milliseconds
    var request = call.request
    // A little less than the time limit: the handler's own answer, that it was too slow, tells more than ours.
    let limit = handler.description.timeLimitMs
    request.deadline = Instant(milliseconds: Instant.now.milliseconds + limit - min(500, limit / 10))
    let envelope = request.envelope(
      routeKey: call.route.key, userAgent: request.headers["user-agent"] ?? "", host: call.host)
    let result = await call.endpoint.processes.run(handler, envelope: envelope.bytes)
    await admission.leave()
    let log = log.with("requestId", requestID).with("handler", handler.description.name)
    if result.errorsWereCut { log.warn("A handler's log was cut at 64 KiB") }
    let facts = [("queueMs", queueMs), ("startMs", result.startMs), ("runMs", result.runMs)]
    var answer = Answer(
      reply: reply(result, requestID: requestID, log: log), facts: facts.map { (key: $0.0, value: String($0.1)) })
    if answer.reply.status == 401, handler.description.access == .admin,
      let quota = clients.limits.countRefusedKey(of: call.client)
    {
      answer.reply = quota.problem.reply(requestID: requestID)
      answer.quota = quota
    }
    return answer
  }

  private func reply(_ result: HandlerResult, requestID: String, log: Log) -> Reply {
    let problem: Problem
    switch result.end {
    case .ended(let termination):
      do throws(Problem) { return Self.withoutOurs(try Reply(reading: result.output)) } catch {
        let fault = result.output.isEmpty ? "it wrote no reply" : error.detail
        log.error("502: \(fault) (\(termination.map(String.init(describing:)) ?? "no exit status"))")
      }
      problem = Problem(.badGateway, "the handler gave no valid reply")
    case .tooMuchOutput:
      log.error("502: the reply is larger than 1 MiB")
      problem = Problem(.badGateway, "the handler gave no valid reply")
    case .notStarted(let reason):
      log.error("503: no process could be started: \(reason)")
      problem = Problem(.unavailable, "the handler could not be started", retryAfter: 1)
    case .tooSlow:
      log.error("504: the handler took longer than its time limit and was ended")
      problem = Problem(.tooSlow, "the handler took too long")
    case .stopped:
      log.warn("503: the handler was still running when the gateway stopped")
      problem = Problem(.unavailable, "the gateway is stopping", retryAfter: 1)
    }
    return problem.reply(requestID: requestID)
  }

  private static func withoutOurs(_ reply: Reply) -> Reply {
    var reply = reply
    reply.headers = reply.headers.filter { name, _ in !ownHeaders.contains { name.hasPrefix($0) } }
    return reply
  }
}
