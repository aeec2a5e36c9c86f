import Contract
import Host
import Limits
import NIOCore
import Wire

/// Passes complete requests to handler processes, and creates the replies. `receive` in RequestIntake.swift runs first.
struct RequestDispatcher: Sendable {
  let endpoints: CurrentEndpoints
  let connections: ClientConnections
  let rateLimits: ClientRateLimits
  /// The limits that gateways share, with RATE_LIMIT_STORE=postgres; nil if this gateway counts in its memory.
  var sharedLimits: SharedLimiter?
  let cors: CORSPolicy
  let blockedOrigins: BlockedOrigins
  let budgets: Budgets
  let metrics: Metrics
  let readiness: Readiness
  /// A request that takes longer is logged as slow; nil if none is logged.
  let slow: Duration?
  let log: Log
  let overloadLog: OverloadLog
  let refusalDelay: RefusalDelay
  let unsent = UnsentBytes()
  let idle: IdleConnections
  /// The admin panel's files; nil if they are not served.
  var panel: Panel?
  /// The files of chatbot and forms; nil if they are not served.
  var website: Website?
  let turns = TurnQueue()

  /// The current routes. A reload does not affect requests that have already found their route.
  var routes: RouteTable<Endpoint> { endpoints.set.routes }

  /// Passes a complete request to a handler process and returns its reply. A client that the handler accepts for a live
  /// stream gets a subscription.
  /// - Parameter isGone: asked on the loop when a request has waited; true if its client expects no reply.
  func answer(
    _ request: RoutedRequest, on loop: any EventLoop, isGone: @escaping @Sendable () -> Bool
  ) -> EventLoopFuture<GatewayReply> {
    if let sharedLimits, let admission = request.admission {
      return admission.flatMap { answer(request, $0, of: sharedLimits, on: loop, isGone: isGone) }
    }
    guard request.endpoint.handler.description.access == .admin else { return serve(request, on: loop) }
    let test = rateLimits.beginTest(request.request.message.headers, of: request.client, request.quota)
    guard case .inTurn(let key) = test else {
      return serve(request, on: loop).map { answer in judged(answer, test, request) }
    }
    guard let turn = turns.turn(of: key, on: loop) else {
      return loop.makeSucceededFuture(refused(request, by: rateLimits.noTurn(of: request.client)))
    }
    return turn.flatMap {
      if isGone() {
        turns.end(key, wasTested: false, on: loop)
        return loop.makeSucceededFuture(refused(request, by: rateLimits.noTurn(of: request.client)))
      }
      return serve(request, on: loop).map { answer in
        turns.end(key, wasTested: true, on: loop)
        return judged(answer, test, request)
      }
    }
  }

  func serve(_ request: RoutedRequest, on loop: any EventLoop) -> EventLoopFuture<GatewayReply> {
    guard let feed = request.endpoint.feed else {
      guard let compression = ReplyCompression(request) else { return callHandler(request, on: loop) }
      return callHandler(request, on: loop).flatMap { compression.applied(to: $0, on: loop) }
    }
    return subscribe(request, to: feed, on: loop)
  }

  /// Records whether the key of an admin request was accepted.
  private func judged(_ answer: GatewayReply, _ test: ClientRateLimits.KeyTest, _ request: RoutedRequest)
    -> GatewayReply
  {
    let headers = request.request.message.headers
    let quota = rateLimits.endTest(test, answer.reply, to: headers, of: request.client, request.quota)
    guard let quota else { return answer }
    var refusal = refused(request, by: quota)
    refusal.timing = answer.timing
    return refusal
  }

  func refused(_ request: RoutedRequest, by quota: Quota) -> GatewayReply {
    GatewayReply(reply: quota.problem.reply(requestID: request.id), quota: quota)
  }

  /// Calls the handler. Each 502, 503 and 504 is explained in one log line. Under overload, most lines about a 503 are
  /// only counted.
  private func callHandler(_ request: RoutedRequest, on loop: any EventLoop) -> EventLoopFuture<GatewayReply> {
    metrics.started(request.endpoint.handler.description.name)
    // The process has the body, so the request that waits for the reply need not keep it.
    var asked = request
    asked.request.message.body = []
    return request.endpoint.processes.run(request.request, on: loop).flatMap { result in
      result.outcome == .refused(.queueIsFull)
        ? refusalDelay.delay(result, on: loop) : loop.makeSucceededFuture(result)
    }.map { [asked] result in finish(asked, result) }
  }

  /// Calls the handler, and subscribes the client to the feed if the reply begins a live stream.
  /// - Parameter earlier: the body of the handler's earlier reply, if it is called again to continue from its end.
  private func subscribe(
    _ request: RoutedRequest, to feed: LiveFeed, on loop: any EventLoop, after earlier: [UInt8] = []
  ) -> EventLoopFuture<GatewayReply> {
    let subscription = feed.register()
    return callHandler(request, on: loop).flatMap { answer in
      var answer = answer
      let position = FeedPosition(takenFrom: &answer.reply)
      // This is needed even if the stream ends with this reply, because the client continues after all of it. After
      // another status, the client repeats its request.
      if answer.reply.status == 200 { answer.reply.body = earlier + answer.reply.body }
      guard let position, request.request.message.method != "HEAD" else {
        subscription.end()
        return loop.makeSucceededFuture(answer)
      }
      switch subscription.accept(at: position) {
      case .accepted: answer.subscription = subscription
      case .full: answer.reply = unavailable(.tooManyListeners, request)
      case .closed: answer.reply = unavailable(.stopping, request)
      case .repeatCall:
        var request = request
        request.request.message.headers["last-event-id"] = position.cursor
        return subscribe(request, to: feed, on: loop, after: answer.reply.body)
      }
      return loop.makeSucceededFuture(answer)
    }
  }

  private func unavailable(_ code: ProblemCode, _ request: RoutedRequest) -> Reply {
    Problem(code, retryAfter: 5).reply(requestID: request.id)
  }

  /// Creates the reply from a result, and records the request in the log and the metrics.
  private func finish(_ request: RoutedRequest, _ result: HandlerResult) -> GatewayReply {
    let description = request.endpoint.handler.description
    let log = log.with("requestId", request.id).with("handler", description.name)
    if result.stderrWasCut { log.warn("A handler's log was cut at \(budgets.errors) bytes") }
    let (reply, failure) = reply(to: request, result)
    if let failure { explain(failure, log) }
    var refusal: AdmissionRefusal?
    if case .refused(let reason) = result.outcome { refusal = reason }
    metrics.ended(
      description.name, result.timing,
      failure.flatMap {
        $0.status < 500 ? nil : Metrics.LastFailure(at: .now, status: $0.status, reason: $0.reason)
      }, refusal)
    readiness.record(refused: refusal != nil)
    return GatewayReply(reply: reply, timing: result.timing)
  }

  private func reply(to request: RoutedRequest, _ result: HandlerResult) -> (Reply, HandlerFailure?) {
    do throws(HandlerFailure) {
      return (ReplyHeaders.withoutReserved(try result.reply()), nil)
    } catch { return (error.problem.reply(requestID: request.id), error) }
  }

  private func explain(_ failure: HandlerFailure, _ log: Log) {
    let line = "\(failure.status): \(failure.reason)"
    guard failure.status >= 500 else { return log.info(line) }
    guard failure.status == 503 else { return log.error(line) }
    overloadLog.line { failure.isExpected ? log.warn(line) : log.error(line) }
  }

  /// Records a reply whose body followed, when it has ended.
  func record(_ reply: FollowedReply, _ end: BodyEnd) {
    var answer = reply.answer
    answer.sent = reply.sent
    record(reply.exchange, answer)
    guard let reason = end.reason else { return }
    var log = log.with("requestId", reply.exchange.requestID).with("bytes", String(reply.sent))
    if let handler = reply.exchange.handler { log = log.with("handler", handler) }
    log.warn("The body of the reply was cut off: \(reason)")
  }

  /// Records a request in the access log and the metrics, whether a handler or the gateway itself answered it.
  func record(_ exchange: HTTPExchange, _ answer: GatewayReply) {
    exchange.record(answer, slow: slow, log: log)
    let quota = (answer.quota ?? exchange.quota).flatMap { $0.isAllowed ? nil : $0 }
    metrics.answered(
      method: exchange.method, route: exchange.route, handler: exchange.handler, status: answer.reply.status,
      rateLimitedBy: quota?.name)
  }
}
