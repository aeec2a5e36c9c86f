import Limits
import Wire

/// Serves the HTTP requests of one handler without a gateway. Routing, CORS, limits and headers are decided by the code
/// that the gateway uses, so the replies are the same.
package final class EndpointServer {
  /// The limits of a request head in bytes. The gateway's are the same by default.
  private static let targetLimit = 8192
  private static let headersLimit = 16_384

  /// Headers that tell the gateway where a live stream continues.
  private static let feedHeaders = ["feed-after", "feed-seen"]

  /// The settings that the gateway has for its handlers.
  package static let settings: [Setting] =
    [
      .allowedOrigins, .frontendURL, Setting("TRUSTED_PROXIES", validate: TrustedProxies.validate),
    ] + SharedRateLimits.settings

  private let handler: Handler
  private let environment: [String: String]
  private let log: Log
  private let afterwards: Afterwards
  /// What the entry point does with a body that would follow its reply.
  enum FollowingBodies {
    /// Writes it after the reply, and tells the client if it is not whole.
    case written
    /// Takes it as one document of at most `limit` bytes.
    case collected(limit: Int)
    /// Refuses the request, because its client could not tell whether the body is whole.
    case refused
  }
  private let bodies: FollowingBodies
  /// Nil if a setting is wrong, which has been logged.
  private let proxies: TrustedProxies?
  private let cors: CORSPolicy
  private lazy var opened = handler.opened(environment, afterwards: afterwards, log: log)
  private lazy var counter = makeCounter()

  init(
    _ handler: Handler, _ environment: [String: String], afterwards: Afterwards, bodies: FollowingBodies, _ log: Log
  ) {
    self.bodies = bodies
    self.handler = handler
    self.environment = environment
    self.afterwards = afterwards
    self.log = log
    do throws(Problem) {
      let settings = try Settings(Self.settings, from: environment)
      proxies = settings["TRUSTED_PROXIES"].flatMap { TrustedProxies($0) } ?? TrustedProxies()
      cors = CORSPolicy(settings)
    } catch {
      log.error(error.detail)
      proxies = nil
      cors = CORSPolicy(origins: [])
    }
  }

  /// Opens the handler now instead of at the first request. Returns the problem of wrong settings, which has been
  /// logged.
  func open() -> Problem? {
    if case .failure(let problem) = opened { return problem }
    return proxies == nil ? Problem(.serviceNotConfigured) : nil
  }

  /// Answers one request.
  /// - Parameters:
  ///   - peer: the client of the server that received the request.
  ///   - deadline: when the reply is no longer useful, on the steady clock. The handler's own time limit applies too.
  ///   - log: nil for the log of the process.
  ///   - body: reads the body if the request may have one. It receives the largest size in bytes.
  func answer(
    _ message: MessageHead, from peer: TrustedProxies.Peer, deadline: Instant? = nil, log: Log? = nil,
    body: (Int) throws(Problem) -> [UInt8]
  ) -> ServedReply {
    let requestID = message["x-request-id"].first.flatMap(Request.cleanID) ?? UUIDText.ordered().text
    let origin = cors.allowed(message)
    let request = Request(method: message.method, path: message.target, requestID: requestID, receivedAt: .now)
    do throws(Problem) {
      guard let proxies else { throw Problem(.serviceNotConfigured) }
      try Self.check(message)
      let head = try RequestHead(message)
      switch try route(head, requestID, origin) {
      case .answered(let reply, let origin, let access):
        return ServedReply(reply, to: head.method, requestID: requestID, origin: origin, access: access)
      case .found(let match):
        let client = proxies.client(peer: peer, forwarded: head.forwardedFor)
        var request = Request(
          head, to: handler.description, requestID: requestID, parameters: match.parameters,
          sourceIP: client?.text ?? "", receivedAt: .now)
        request.deadline = deadline
        let (answered, quota) = answer(request, head, from: client, log ?? self.log, body: body)
        return served(answered, origin, handler.description.access, quota)
      }
    } catch { return served(AnsweredRequest(request: request, problem: error), origin) }
  }

  /// Counts a request, reads its body and calls the handler, unless the request is refused before. Returns the state of
  /// the rate limit with the reply.
  private func answer(
    _ request: Request, _ head: RequestHead, from client: ClientAddress?, _ log: Log,
    body: (Int) throws(Problem) -> [UInt8]
  ) -> (AnsweredRequest, Quota?) {
    var request = request
    let counter: (any RequestCounter)?
    let admission: RequestAdmission?
    do throws(Problem) {
      // Handler and counter share a connection, with the handler's limits.
      _ = opened
      if let deadline = request.deadline, deadline <= .steady { throw Problem(.deadlineExceeded) }
      counter = try self.counter.get()
      admission = try counter?.admit(request, hasBody: head.hasBody, from: client, to: handler.description, log: log)
    } catch { return (AnsweredRequest(request: request, problem: error), nil) }
    if let refusal = admission?.refusal {
      return (AnsweredRequest(request: request, problem: refusal.problem), refusal)
    }
    let answered: AnsweredRequest
    do throws(Problem) {
      try request.checkBody(head, to: handler.description)
      if head.hasBody { request.body = try body(handler.description.bodyLimit) }
      try handler.prepare(&request)
      answered = call(request, log)
    } catch { answered = AnsweredRequest(request: request, problem: error) }
    guard let counter, let admission else { return (answered, nil) }
    let quota = counter.settle(admission, answered.reply, log: log)
    guard let quota, !quota.isAllowed else { return (answered, quota) }
    return (AnsweredRequest(request: request, problem: quota.problem), quota)
  }

  /// Makes the counter of requests from the settings of the handler and the server.
  private func makeCounter() -> Result<(any RequestCounter)?, Problem> {
    Result { () throws(Problem) in
      guard let make = handler.counter else { return nil }
      return make(try Settings(Self.settings + handler.description.environment, from: environment))
    }
  }

  /// True if the handler has a route for the path of a head, with any method.
  func hasRoute(for message: MessageHead) -> Bool {
    do throws(Problem) {
      _ = try route(try RequestHead(message), "", nil)
      return true
    } catch { return false }
  }

  /// The reply to a request of which not even the head could be read.
  func refusal(_ problem: Problem) -> ServedReply {
    served(AnsweredRequest(refusing: problem), nil)
  }

  /// Refuses a head that is larger than any client needs.
  package static func check(_ message: MessageHead) throws(Problem) {
    guard message.target.utf8.count <= targetLimit else { throw Problem(.targetTooLong, ["max": targetLimit]) }
    let size = message.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 }
    guard size <= headersLimit, message.fields.count <= MessageHead.fieldLimit else {
      throw Problem(.headersTooLarge, ["fields": MessageHead.fieldLimit, "max": headersLimit])
    }
    guard message.fields.allSatisfy({ Header.isToken($0.name) && Header.isClean($0.value) }) else {
      throw Problem(.malformedHeader)
    }
  }

  private func route(_ head: RequestHead, _ requestID: String, _ origin: WebOrigin?) throws(Problem) -> Routing<Void> {
    let routes: RouteTable<Void>
    do throws(InvalidRoutes) { routes = try RouteTable(handler.description.routes.map { ($0, ()) }) } catch {
      throw .internalError(error.reason)
    }
    let access = handler.description.access
    return try Routing(head, in: routes, requestID: requestID, origin: origin) { access }
  }

  private func call(_ request: Request, _ log: Log) -> AnsweredRequest {
    if case .refused = bodies, handler.description.bodyFollows {
      let problem = Problem(.replyNeedsGateway, ["handler": handler.description.name])
      return AnsweredRequest(request: request, problem: problem)
    }
    let answered = handler.answer([(request, nil)], by: opened, log: log)
    guard let answer = answered.first else {
      return AnsweredRequest(request: request, problem: .internalError("the handler made no reply"))
    }
    guard case .collected(let limit) = bodies, answer.reply.bodyFollows else { return answer }
    do throws(Problem) {
      return AnsweredRequest(request: request, reply: try answer.reply.whole(limit: limit))
    } catch { return AnsweredRequest(request: request, problem: error) }
  }

  private func served(
    _ answered: AnsweredRequest, _ origin: WebOrigin?, _ access: Description.Access = .public, _ quota: Quota? = nil
  ) -> ServedReply {
    var reply = ReplyHeaders.withoutReserved(answered.reply)
    if let page = RefusalPage(answered.request.headers, to: handler.description) { reply = page.shown(reply) }
    // Only a gateway can continue a live stream. Without one, the client reconnects and receives the next events.
    for name in Self.feedHeaders { reply.headers[name] = nil }
    return ServedReply(
      reply, to: answered.request.method, requestID: answered.request.requestID, origin: origin,
      access: access, quota: quota?.headers ?? [], exitStatus: answered.exitStatus)
  }
}
