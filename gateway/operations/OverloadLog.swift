import Handler
import NIOCore
import NIOPosix
import Synchronization

/// At most so many lines a second, and the number of those that were left out: the decision, given the second.
struct LinePace: Sendable {
  let limit: Int
  private var second = Int.min
  private var written = 0
  private var leftOut = 0

  init(limit: Int) { self.limit = limit }

  enum Verdict: Sendable, Equatable {
    case write
    /// The first one that is left out: whoever hears it calls `settle` when the second is over.
    case firstLeftOut
    case leaveOut
  }

  mutating func judge(at second: Int) -> Verdict {
    if second != self.second { (self.second, written) = (second, 0) }
    guard written == limit else {
      written += 1
      return .write
    }
    leftOut += 1
    return leftOut == 1 ? .firstLeftOut : .leaveOut
  }

  /// How many have been left out since the last call.
  mutating func settle() -> Int {
    defer { leftOut = 0 }
    return leftOut
  }
}

/// Lines about requests that were turned away: under overload the log must not be a second one.
final class TurnedAwayLog: Sendable {
  private let log: Log
  private let metrics: Metrics
  private let pace = Mutex(LinePace(limit: 10))

  init(log: Log, metrics: Metrics) {
    self.log = log
    self.metrics = metrics
  }

  /// Runs `write`, or counts it as left out.
  func say(_ write: () -> Void) {
    switch pace.withLock({ $0.judge(at: Int(metrics.uptime.seconds)) }) {
    case .write: write()
    case .leaveOut: break
    case .firstLeftOut:
      MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .seconds(1)) { self.settle() }
    }
  }

  private func settle() {
    let count = pace.withLock { $0.settle() }
    metrics.leftOut(lines: count)
    log.warn("503: \(count) more in the last second")
  }
}
