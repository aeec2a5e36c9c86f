import Handler
import Host
import Limits
import NIOCore
import Wire

/// A reply, and what the logs say of how it came about.
struct Answer: Sendable {
  var reply: Reply
  /// Nil where no handler was asked.
  var times: Times?
  /// Where it is another limit than that of the request's class which has refused it.
  var quota: Quota?
  /// Where the reply is the beginning of a stream: the place of its listener.
  var seat: Seat?
}

/// What turns a complete request into a reply; `receive` turns a head into a request.
struct Responder: Sendable {
  /// Headers of a reply that are the gateway's alone: no handler may open a reply to another origin, or invent a limit.
  private static let ownHeaders = ["access-control-", "ratelimit", "x-ratelimit-"]

  let handlers: CurrentHandlers
  let clients: Clients
  let crossOrigin: CrossOrigin
  let budgets: Budgets
  let metrics: Metrics
  let health: Health
  /// What takes longer is slow; nil where nothing is.
  let slow: Duration?
  let log: Log
  let turnedAwayLog: TurnedAwayLog
  let antechamber: Antechamber

  /// As they are now; a request keeps what it has found.
  var routes: RouteTable<Endpoint> { handlers.set.routes }

  static func tooLarge(_ limit: Int) -> Problem { Problem(.tooLarge, "the body is larger than \(limit) bytes") }

  /// Answers a complete request by a handler process, and gives whom it lets in a seat before its feed.
  func answer(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<Answer> {
    guard let feed = call.endpoint.feed else { return ask(call, on: loop) }
    return listen(call, to: feed, on: loop)
  }

  /// Every 502, 503 and 504 is explained by one log line, but that under overload those of 503 are counted instead.
  private func ask(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<Answer> {
    metrics.began(call.endpoint.handler.description.name)
    // The body is in the handler's hands: what waits for the answer needs not keep it.
    var asked = call
    asked.request.body = []
    return call.endpoint.processes.run(call, on: loop).flatMap { result in antechamber.hold(result, on: loop) }
      .map { [asked] result in answer(asked, result) }
  }

  /// - Parameter before: what the handler has answered already; it has been asked to go on from there.
  private func listen(
    _ call: Call, to feed: Feed, on loop: any EventLoop, before: [UInt8] = []
  ) -> EventLoopFuture<Answer> {
    let seat = feed.register()
    return ask(call, on: loop).flatMap { answer in
      var answer = answer
      let ticket = FeedTicket(takenFrom: &answer.reply)
      // Also where the stream ends with it: the client goes on behind all of it. With another status it asks anew.
      if answer.reply.status == 200 { answer.reply.body = before + answer.reply.body }
      guard let ticket, call.request.method != "HEAD" else {
        seat.leave()
        return loop.makeSucceededFuture(answer)
      }
      switch seat.admit(ticket) {
      case .taken: answer.seat = seat
      case .full: answer.reply = turnedAway("too many listen already", call)
      case .closed: answer.reply = turnedAway("the gateway is stopping", call)
      case .askAgain:
        var call = call
        call.request.headers["last-event-id"] = ticket.cursor
        return listen(call, to: feed, on: loop, before: answer.reply.body)
      }
      return loop.makeSucceededFuture(answer)
    }
  }

  private func turnedAway(_ reason: String, _ call: Call) -> Reply {
    Problem(.unavailable, reason, retryAfter: 5).reply(requestID: call.request.requestID)
  }

  private func answer(_ call: Call, _ result: HandlerResult) -> Answer {
    let description = call.endpoint.handler.description
    let log = log.with("requestId", call.request.requestID).with("handler", description.name)
    if result.errorsWereCut { log.warn("A handler's log was cut at \(budgets.errors) bytes") }
    let (reply, failure) = reply(to: call, result)
    if let failure { explain(failure, log) }
    metrics.ended(
      description.name, result.times,
      failure.map { Metrics.LastFailure(at: .now, status: $0.status, reason: $0.reason) })
    if case .turnedAway = result.end { health.note(turnedAway: true) } else { health.note(turnedAway: false) }
    var answer = Answer(reply: reply, times: result.times)
    if description.access == .admin,
      let quota = clients.limits.learn(answer.reply.status, to: call.request.headers, of: call.client)
    {
      answer.reply = quota.problem.reply(requestID: call.request.requestID)
      answer.quota = quota
    }
    return answer
  }

  private func reply(to call: Call, _ result: HandlerResult) -> (Reply, HandlerFailure?) {
    do throws(HandlerFailure) { return (Self.withoutOurs(try result.reply()), nil) } catch {
      return (error.problem.reply(requestID: call.request.requestID), error)
    }
  }

  private func explain(_ failure: HandlerFailure, _ log: Log) {
    let line = "\(failure.status): \(failure.reason)"
    guard failure.status == 503 else { return log.error(line) }
    turnedAwayLog.say { failure.isExpected ? log.warn(line) : log.error(line) }
  }

  /// Writes a request that has been answered, by whomever, into the logs and the metrics.
  func record(_ exchange: Exchange, _ answer: Answer) {
    exchange.record(answer, slow: slow, log: log)
    let quota = (answer.quota ?? exchange.quota).flatMap { $0.verdict.isAllowed ? nil : $0 }
    metrics.answered(exchange, status: answer.reply.status, refusedBy: quota?.name)
  }

  private static func withoutOurs(_ reply: Reply) -> Reply {
    var reply = reply
    reply.headers = reply.headers.filter { name, _ in !ownHeaders.contains { name.hasPrefix($0) } }
    return reply
  }
}
