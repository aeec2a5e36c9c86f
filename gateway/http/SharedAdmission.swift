import Contract
import Limits
import NIOCore

/// Requests under limits that gateways share (RATE_LIMIT_STORE=postgres).
extension RequestDispatcher {
  /// Waits for the decision, passes an admitted request to its handler, and settles the reply.
  func answer(
    _ request: RoutedRequest, _ decision: SharedLimiter.Admission, of limits: SharedLimiter, on loop: any EventLoop,
    isGone: @escaping @Sendable () -> Bool
  ) -> EventLoopFuture<GatewayReply> {
    let admission: RequestAdmission
    switch decision {
    case .failure(let unanswered):
      let reply = GatewayReply(reply: uncounted(unanswered, requestID: request.id))
      return unanswered.isExpected ? refusalDelay.delay(reply, on: loop) : loop.makeSucceededFuture(reply)
    case .success(nil): return serve(request, on: loop)
    case .success(let decided?): admission = decided
    }
    if let quota = admission.refusal { return loop.makeSucceededFuture(refused(request, by: quota)) }
    let settle: @Sendable (GatewayReply) -> EventLoopFuture<GatewayReply> = { answer in
      settled(answer, admission, of: limits, requestID: request.id, on: loop)
    }
    guard let quota = admission.turnRefusal else {
      return serve(request, on: loop).flatMap(settle)
    }
    let key = RateKey(request.client).network
    guard let turn = turns.turn(of: key, on: loop) else {
      return loop.makeSucceededFuture(refused(request, by: quota))
    }
    return turn.flatMap {
      if isGone() {
        turns.end(key, wasTested: false, on: loop)
        return loop.makeSucceededFuture(refused(request, by: quota))
      }
      return serve(request, on: loop).flatMap { answer in
        turns.end(key, wasTested: true, on: loop)
        return settle(answer)
      }
    }
  }

  /// Returns what to send instead of an answer of the gateway itself to a request that was counted, such as a 413: a
  /// 429 if the limit refuses the request, and otherwise the answer with the state of the limit.
  func settled(
    _ answer: GatewayReply, _ exchange: HTTPExchange, _ decision: EventLoopFuture<SharedLimiter.Admission>,
    on loop: any EventLoop
  ) -> EventLoopFuture<GatewayReply> {
    decision.flatMap { decision in
      guard let sharedLimits, case .success(let admission?) = decision else {
        return loop.makeSucceededFuture(answer)
      }
      if let quota = admission.refusal {
        let refusal = quota.problem.reply(requestID: exchange.requestID)
        return loop.makeSucceededFuture(GatewayReply(reply: refusal, quota: quota))
      }
      return settled(answer, admission, of: sharedLimits, requestID: exchange.requestID, on: loop)
    }
  }

  private func settled(
    _ answer: GatewayReply, _ admission: RequestAdmission, of limits: SharedLimiter, requestID: String,
    on loop: any EventLoop
  ) -> EventLoopFuture<GatewayReply> {
    limits.settle(admission, answer.reply, on: loop).map { quota in
      var answer = answer
      answer.quota = quota
      if let quota, !quota.isAllowed {
        answer.subscription?.end()
        answer.subscription = nil
        answer.reply = quota.problem.reply(requestID: requestID)
      }
      return answer
    }
  }

  /// The reply to a request that could not be counted. It is not passed on, which would open the limit.
  private func uncounted(_ unanswered: SharedLimiter.Unanswered, requestID: String) -> Reply {
    let log = log.with("requestId", requestID)
    let line = "503: the request could not be counted: \(unanswered.reason)"
    overloadLog.line { unanswered.isExpected ? log.warn(line) : log.error(line) }
    readiness.record(refused: unanswered.isExpected)
    return unanswered.problem.reply(requestID: requestID)
  }
}
