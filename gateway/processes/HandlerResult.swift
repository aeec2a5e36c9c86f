import Contract
import Host

/// How a request to a handler process ended.
enum HandlerOutcome: Sendable, Equatable {
  /// The process ended. What it wrote, if anything, is the output of the result.
  case ended(Termination?)
  /// The process wrote a reply and may still run.
  case replied(Reply)
  /// Its output is no reply, or it can write none any more.
  case badReply(reason: String)
  /// No process could be started.
  case notStarted(reason: String)
  /// The reply is larger than this number of bytes.
  case replyTooLarge(limit: Int)
  case timedOut
  /// No process took the request.
  case refused(AdmissionRefusal)
  /// The handler's processes end at their start, so none is started for a while.
  case backingOff(seconds: Int)
  /// The gateway stops and no longer waits for the reply.
  case stopped
}

/// What a handler process made of a request.
struct HandlerResult: Sendable {
  let outcome: HandlerOutcome
  var output: [UInt8] = []
  var timing = RequestTiming()
  /// Whether its stderr was longer than the gateway passes on.
  var stderrWasCut = false
}
