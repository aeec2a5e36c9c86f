import Contract
import Host

/// The outcome of a request to a handler process.
enum HandlerOutcome: Sendable, Equatable {
  /// The process ended. The result's `output` holds what it wrote.
  case ended(Termination?)
  /// The process wrote a reply and may still run.
  case replied(Reply)
  /// The process has ended after a reply whose body followed, which was passed on meanwhile.
  case followed(BodyEnd)
  /// The client left before there was a reply, and the process was ended.
  case unwanted
  /// Its output is not a reply, or it can no longer write one.
  case badReply(reason: String)
  /// No process could be started.
  case notStarted(reason: String)
  /// The reply is larger than this number of bytes.
  case replyTooLarge(limit: Int)
  case timedOut
  /// No process took the request.
  case refused(AdmissionRefusal)
  /// The handler's processes end at their start, so none is started for this number of seconds.
  case backingOff(seconds: Int)
  /// The gateway is stopping and no longer waits for the reply.
  case stopped
}

/// The result of a request to a handler process.
struct HandlerResult: Sendable {
  let outcome: HandlerOutcome
  var output: [UInt8] = []
  var timing = RequestTiming()
  /// True if its stderr exceeded the limit, and the rest was dropped.
  var stderrWasCut = false
  /// True if the body of the reply follows through the request's `BodyStream`.
  var bodyFollows = false
}

extension BodyEnd {
  /// - Parameters:
  ///   - failure: why the gateway ended the process; nil if it ended on its own.
  init(_ failure: HandlerOutcome?, _ termination: Termination?) {
    self =
      switch failure {
      case .timedOut: .timedOut
      case .unwanted: .clientLeft
      case .stopped: .stopped
      case nil where termination == .exited(0): .whole
      default: .crashed(termination)
      }
  }
}
