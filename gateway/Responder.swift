import Handler
import Host
import NIOHTTP1
import Wire

/// A request whose route is known, and whose body may be read.
struct Call: Sendable {
  var request: Request
  let route: Description.Route
  let endpoint: Endpoint
  let host: String
  let hasBody: Bool
  let bodyLimit: Int
  let expectsContinue: Bool
}

/// A reply, and what the access log says of how it came about.
struct Answer: Sendable {
  var reply: Reply
  var facts: [(key: String, value: String)] = []
}

/// From the head of a request to a route, and from a complete request to a reply.
struct Responder: Sendable {
  /// No body is larger than this, whatever a description says.
  static let bodyLimit = 262_144

  let routes: RouteTable<Endpoint>
  let admission: Admission
  let log: Log

  /// What becomes of a head: the request is read, or answered at once.
  enum Reception: Sendable {
    case read(Call)
    case answered(Reply)
  }

  /// Finds the route of `head`, which came from `peer`.
  func receive(_ head: RequestHead, requestID: String, peer: String) throws(Problem) -> Reception {
    let found: RouteTable<Endpoint>.Found
    switch routes.match(head.method, head.target.path) {
    case .found(let match): found = match
    case .none: throw Problem(.notFound, "there is no such route")
    case .otherMethod(let allow):
      let allow = ["allow": allow.joined(separator: ", ")]
      if head.method == "OPTIONS" { return .answered(Reply(status: 204, headers: allow, body: [])) }
      var reply = Problem(.methodNotAllowed, "this route has no \(head.method)").reply(requestID: requestID)
      reply.headers.merge(allow) { $1 }
      return .answered(reply)
    }
    var request = Request(method: head.method, path: head.target.path.raw, requestID: requestID, receivedAt: .now)
    request.rawQuery = head.target.rawQuery
    request.query = head.target.query
    request.headers = head.headers
    request.headers["x-request-id"] = requestID
    request.pathParameters = found.parameters
    request.sourceIP = peer
    let limit = min(Self.bodyLimit, found.target.handler.description.bodyLimit)
    if let length = head.bodyLength, length > limit { throw Self.tooLarge(limit) }
    return .read(
      Call(
        request: request, route: found.route, endpoint: found.target, host: head.host, hasBody: head.hasBody,
        bodyLimit: limit, expectsContinue: head.expectsContinue))
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
    return Answer(
      reply: reply(result, requestID: requestID, log: log), facts: facts.map { (key: $0.0, value: String($0.1)) })
  }

  private func reply(_ result: HandlerResult, requestID: String, log: Log) -> Reply {
    let problem: Problem
    switch result.end {
    case .ended(let termination):
      do throws(Problem) { return try Reply(reading: result.output) } catch {
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
}
