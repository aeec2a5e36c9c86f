import Host
import Synchronization

/// How many processes each handler has had, and how they ended.
final class ProcessLedger: Sendable {
  enum End: Sendable {
    case inOrder
    /// By itself, and not as it should.
    case crashed
    /// By us, over what it did.
    case killed
    /// There was none.
    case notStarted
  }

  struct Counts: Sendable, Equatable {
    /// Tries to start one, and how many of these failed.
    var starts = 0
    var failedStarts = 0
    var crashes = 0
    var kills = 0
    var running = 0
  }

  private let counts = Mutex<[String: Counts]>([:])

  subscript(handler: String) -> Counts { counts.withLock { $0[handler] ?? Counts() } }

  /// Follows the process of a single request.
  func following(_ handler: String, _ run: () -> HandlerResult) -> HandlerResult {
    began(handler)
    let result = run()
    ended(handler, result.processEnd)
    return result
  }

  func began(_ handler: String) {
    counts.withLock {
      $0[handler, default: Counts()].starts += 1
      $0[handler, default: Counts()].running += 1
    }
  }

  /// To be called once for each that began.
  func ended(_ handler: String, _ end: End) {
    counts.withLock {
      $0[handler, default: Counts()].running -= 1
      switch end {
      case .inOrder: break
      case .crashed: $0[handler, default: Counts()].crashes += 1
      case .killed: $0[handler, default: Counts()].kills += 1
      case .notStarted: $0[handler, default: Counts()].failedStarts += 1
      }
    }
  }
}

extension HandlerResult {
  /// How the process of a single request ended.
  var processEnd: ProcessLedger.End {
    switch end {
    case .ended(.signalled(_)?): .crashed
    case .ended where output.isEmpty: .crashed
    case .ended, .answered, .stopped, .turnedAway, .heldBack: .inOrder
    case .badReply, .tooMuchOutput, .tooSlow: .killed
    case .notStarted: .notStarted
    }
  }
}

extension StreamFault {
  /// How a stream process with this fault ended.
  var processEnd: ProcessLedger.End {
    switch self {
    case .notStarted: .notStarted
    case .ended: .crashed
    case .stopped: .inOrder
    case .badReply, .tooMuchOutput, .tooSlow, .stoppedReading: .killed
    }
  }
}
