import Handler
import Host

/// Why no process could take a request.
enum Refusal: Sendable, Equatable {
  case queueIsFull
  case waitedTooLong
  case isStopping

  var reason: String {
    switch self {
    case .queueIsFull: "too many requests wait for this handler"
    case .waitedTooLong: "no process was free within the longest wait"
    case .isStopping: "the gateway is stopping"
    }
  }
}

/// Why a request has no reply of its handler: what its client is told, and what the log says.
struct HandlerFailure: Error, Sendable {
  let problem: Problem
  let reason: String
  /// Nothing went wrong but that it came at a bad time.
  var isExpected = false

  var status: Int { problem.kind.status }

  fileprivate static func badReply(_ reason: String) -> HandlerFailure {
    HandlerFailure(problem: Problem(.badGateway, "the handler gave no valid reply"), reason: reason)
  }
}

extension HandlerResult {
  /// The reply, or what it means that there is none.
  func reply() throws(HandlerFailure) -> Reply {
    switch end {
    case .answered(let reply): return reply
    case .ended(let termination):
      do throws(Problem) { return try Reply(reading: output, needsStatus: termination != .exited(0)) } catch {
        let fault = output.isEmpty ? "it wrote no reply" : error.detail
        throw .badReply("\(fault) (\(termination.map(String.init(describing:)) ?? "no exit status"))")
      }
    case .badReply(let reason): throw .badReply(reason)
    case .tooMuchOutput(let limit): throw .badReply("the reply is larger than \(limit) bytes")
    case .notStarted(let reason):
      throw HandlerFailure(
        problem: Problem(.unavailable, "the handler could not be started", retryAfter: 1),
        reason: "no process could be started: \(reason)")
    case .tooSlow:
      throw HandlerFailure(
        problem: Problem(.tooSlow, "the handler took too long"),
        reason: "the handler took longer than its time limit and was ended")
    case .turnedAway(let refusal):
      let text = refusal == .isStopping ? "the gateway is stopping" : "too many requests are waiting"
      throw HandlerFailure(
        problem: Problem(.unavailable, text, retryAfter: 1), reason: refusal.reason, isExpected: true)
    case .heldBack(let seconds):
      throw HandlerFailure(
        problem: Problem(.unavailable, "the handler could not be started", retryAfter: seconds),
        reason: "the handler's processes end before they answer; none is started for \(seconds) s at most")
    case .stopped:
      throw HandlerFailure(
        problem: Problem(.unavailable, "the gateway is stopping", retryAfter: 1),
        reason: "the handler was still running when the gateway stopped", isExpected: true)
    }
  }
}
