import Contract
import Host

/// Why a request has no valid reply from its handler: the problem for the client, and the reason for the log.
struct HandlerFailure: Error, Sendable {
  let problem: Problem
  let reason: String
  /// True if the cause is overload, a stopping gateway or a client that left, and not an error.
  var isExpected = false

  var status: Int { problem.kind.status }

  fileprivate static func badReply(_ reason: String) -> HandlerFailure {
    HandlerFailure(problem: Problem(.invalidHandlerReply), reason: reason)
  }

  fileprivate static func unavailable(
    _ code: ProblemCode, retryAfter: Int = 1, reason: String, isExpected: Bool = false
  ) -> HandlerFailure {
    HandlerFailure(
      problem: Problem(code, retryAfter: retryAfter), reason: reason, isExpected: isExpected)
  }
}

extension HandlerResult {
  /// Returns the reply. Throws if there is none.
  func reply() throws(HandlerFailure) -> Reply {
    let reply = try anyReply()
    guard reply.bodyFollows == bodyFollows else {
      throw .badReply("the body is said to follow, which the handler's description does not announce")
    }
    return reply
  }

  private func anyReply() throws(HandlerFailure) -> Reply {
    switch outcome {
    case .replied(let reply): return reply
    case .followed: throw .badReply("its reply has been sent before")
    case .unwanted:
      let problem = Problem(.clientLeft)
      throw HandlerFailure(problem: problem, reason: problem.detail, isExpected: true)
    case .ended(let termination):
      do throws(InvalidReply) { return try Reply(reading: output, needsStatus: termination != .exited(0)) } catch {
        let reason = output.isEmpty ? "it wrote no reply" : error.reason
        throw .badReply("\(reason) (\(termination.map(String.init(describing:)) ?? "no exit status"))")
      }
    case .badReply(let reason): throw .badReply(reason)
    case .replyTooLarge(let limit): throw .badReply("the reply is larger than \(limit) bytes")
    case .notStarted(let reason):
      throw .unavailable(.handlerUnavailable, reason: "no process could be started: \(reason)")
    case .timedOut:
      throw HandlerFailure(
        problem: Problem(.handlerTimeout),
        reason: "the handler took longer than its time limit and was ended")
    case .refused(let refusal):
      let code = refusal == .isStopping ? ProblemCode.stopping : .tooManyRequestsWaiting
      throw .unavailable(code, reason: refusal.reason, isExpected: true)
    case .backingOff(let seconds):
      throw .unavailable(
        .handlerUnavailable, retryAfter: seconds,
        reason: "the handler's processes end before they reply; none is started for up to \(seconds) s")
    case .stopped:
      throw .unavailable(
        .stopping, reason: "the handler was still running when the gateway stopped", isExpected: true)
    }
  }
}
