import Host
import Synchronization

/// How a process ended.
enum ProcessEnd: Sendable {
  case normal
  /// It ended on its own, by a signal or without a reply; a stream process, whenever it ended without being asked to.
  case crashed
  /// The gateway ended it because of its behaviour.
  case killed
  /// It could not be started.
  case notStarted
}

/// Counts the processes of each handler and how they ended.
final class ProcessStatistics: Sendable {
  struct Counts: Sendable, Equatable {
    /// The number of attempts to start a process, and how many of them failed.
    var starts = 0
    var failedStarts = 0
    var crashes = 0
    var kills = 0
    var running = 0
  }

  private let counts = Mutex<[String: Counts]>([:])

  subscript(handler: String) -> Counts { counts.withLock { $0[handler] ?? Counts() } }

  /// Runs and counts the process of a single request.
  func counting(_ handler: String, _ run: () -> HandlerResult) -> HandlerResult {
    started(handler)
    let result = run()
    ended(handler, result.processEnd)
    return result
  }

  func started(_ handler: String) {
    counts.withLock {
      $0[handler, default: Counts()].starts += 1
      $0[handler, default: Counts()].running += 1
    }
  }

  /// Counts the end of a process. The caller must call it once for each process that `started` counted.
  func ended(_ handler: String, _ end: ProcessEnd) {
    counts.withLock {
      $0[handler, default: Counts()].running -= 1
      switch end {
      case .normal: break
      case .crashed: $0[handler, default: Counts()].crashes += 1
      case .killed: $0[handler, default: Counts()].kills += 1
      case .notStarted: $0[handler, default: Counts()].failedStarts += 1
      }
    }
  }
}

extension HandlerResult {
  /// How the process of a single request ended.
  var processEnd: ProcessEnd {
    switch outcome {
    case .ended(.signalled(_)?): .crashed
    case .ended where output.isEmpty: .crashed
    case .ended, .replied, .unwanted, .stopped, .refused, .backingOff: .normal
    case .badReply, .replyTooLarge, .timedOut: .killed
    case .notStarted: .notStarted
    case .followed(let end): end.processEnd
    }
  }
}

extension BodyEnd {
  /// How the process that wrote the body ended.
  fileprivate var processEnd: ProcessEnd {
    switch self {
    case .whole, .clientLeft, .stopped: .normal
    case .crashed: .crashed
    case .timedOut: .killed
    }
  }
}
