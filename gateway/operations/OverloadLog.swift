import Contract
import NIOCore
import NIOPosix
import Synchronization

/// Decides which log lines are written, at most `limit` a second, and counts the others. The caller passes the second.
struct LogRateLimit: Sendable {
  let limit: Int
  private var second = Int.min
  private var written = 0
  private var dropped = 0

  init(limit: Int) { self.limit = limit }

  enum Decision: Sendable, Equatable {
    case write
    /// The line is the first to be dropped. The caller must call `takeDropped` when the second is over.
    case dropFirst
    case drop
  }

  mutating func decide(at second: Int) -> Decision {
    if second != self.second { (self.second, written) = (second, 0) }
    guard written == limit else {
      written += 1
      return .write
    }
    dropped += 1
    return dropped == 1 ? .dropFirst : .drop
  }

  /// Returns how many lines have been dropped since the last call.
  mutating func takeDropped() -> Int {
    defer { dropped = 0 }
    return dropped
  }
}

/// Limits the log lines about requests that got 503, so that overload does not flood the log.
final class OverloadLog: Sendable {
  private let log: Log
  private let metrics: Metrics
  private let rate = Mutex(LogRateLimit(limit: 10))

  init(log: Log, metrics: Metrics) {
    self.log = log
    self.metrics = metrics
  }

  /// Calls `write`, or counts the line as dropped if there are too many.
  func line(_ write: () -> Void) {
    switch rate.withLock({ $0.decide(at: Int(metrics.uptime.seconds)) }) {
    case .write: write()
    case .drop: break
    case .dropFirst:
      MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .seconds(1)) { self.reportDropped() }
    }
  }

  private func reportDropped() {
    let count = rate.withLock { $0.takeDropped() }
    metrics.dropped(logLines: count)
    log.warn("503: \(count) more in the last second")
  }
}
