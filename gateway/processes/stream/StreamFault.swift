import Host

/// Why a stream process had to end, and what it means for the requests that it had before it.
enum StreamFault: Sendable {
  case notStarted(reason: String)
  case ended(Termination?)
  case badReply(reason: String)
  /// A reply of more than these bytes.
  case tooMuchOutput(limit: Int)
  /// Its first request was overdue.
  case tooSlow
  /// It has closed its stdin.
  case stoppedReading
  /// The gateway stops and waits no longer.
  case stopped

  /// For the log.
  var words: String {
    switch self {
    case .notStarted(let reason), .badReply(let reason): reason
    case .ended(let termination): termination.map(String.init(describing:)) ?? "unknown"
    case .tooMuchOutput: "its reply was too large"
    case .tooSlow: "it was too slow"
    case .stoppedReading: "it stopped reading"
    case .stopped: "the gateway stops"
    }
  }

  /// For the request that it was at.
  var first: HandlerResult.End {
    switch self {
    case .notStarted(let reason): .notStarted(reason: reason)
    case .ended(let termination): .ended(termination)
    case .badReply(let reason): .badReply(reason: reason)
    case .tooMuchOutput(let limit): .tooMuchOutput(limit: limit)
    case .tooSlow: .tooSlow
    case .stoppedReading: .badReply(reason: "it stopped reading")
    case .stopped: .stopped
    }
  }

  /// For those behind it. Some of them may have been begun, so none is tried again.
  var others: HandlerResult.End {
    switch self {
    case .notStarted, .ended, .stopped: first
    case .badReply, .tooMuchOutput: .badReply(reason: "its process gave no valid reply to a request before it")
    case .tooSlow: .badReply(reason: "its process was ended over a request before it that took too long")
    case .stoppedReading: .badReply(reason: "its process stopped reading")
    }
  }
}
