import Host

/// Why a stream process had to end, and the outcome of the requests that it had.
enum StreamFailure: Sendable {
  case notStarted(reason: String)
  case ended(Termination?)
  case badReply(reason: String)
  /// A reply is larger than this number of bytes.
  case replyTooLarge(limit: Int)
  /// Its first request was overdue.
  case timedOut
  /// It closed its stdin.
  case stoppedReading
  /// The gateway is stopping and no longer waits.
  case stopped

  /// The reason for the log.
  var reason: String {
    switch self {
    case .notStarted(let reason), .badReply(let reason): reason
    case .ended(let termination): termination.map(String.init(describing:)) ?? "unknown"
    case .replyTooLarge: "its reply was too large"
    case .timedOut: "it was too slow"
    case .stoppedReading: "it stopped reading"
    case .stopped: "the gateway is stopping"
    }
  }

  /// The outcome of the request that the process was working on.
  var outcomeOfFirst: HandlerOutcome {
    switch self {
    case .notStarted(let reason): .notStarted(reason: reason)
    case .ended(let termination): .ended(termination)
    case .badReply(let reason): .badReply(reason: reason)
    case .replyTooLarge(let limit): .replyTooLarge(limit: limit)
    case .timedOut: .timedOut
    case .stoppedReading: .badReply(reason: "it stopped reading")
    case .stopped: .stopped
    }
  }

  /// The outcome of the requests after it. The process may have begun some of them, so none is retried.
  var outcomeOfOthers: HandlerOutcome {
    switch self {
    case .notStarted, .ended, .stopped: outcomeOfFirst
    case .badReply, .replyTooLarge: .badReply(reason: "its process gave no valid reply to an earlier request")
    case .timedOut: .badReply(reason: "its process was ended because an earlier request took too long")
    case .stoppedReading: .badReply(reason: "its process stopped reading")
    }
  }

  var processEnd: ProcessEnd {
    switch self {
    case .notStarted: .notStarted
    case .ended: .crashed
    case .stopped: .normal
    case .badReply, .replyTooLarge, .timedOut, .stoppedReading: .killed
    }
  }
}
