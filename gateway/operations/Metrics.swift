import Synchronization
import Wire

/// The counters of the gateway. The sets of labels are bounded: the paths of routes, their methods, and the names of
/// handlers.
final class Metrics: Sendable {
  struct RequestLabels: Sendable, Hashable, Comparable {
    let route: String
    let method: String
    /// The class of the status, such as `2xx`.
    let statusClass: String

    static func < (left: Self, right: Self) -> Bool {
      (left.route, left.method, left.statusClass) < (right.route, right.method, right.statusClass)
    }
  }

  /// The last request of a handler that got 502, 503 or 504.
  struct LastFailure: Sendable {
    let at: Instant
    let status: Int
    let reason: String
  }

  struct HandlerCounts: Sendable {
    var inFlight = 0
    var statusClasses: [String: Int] = [:]
    var queue = Histogram()
    var start = Histogram()
    var run = Histogram()
    var lastFailure: LastFailure?
    /// The number of requests that no process took, by the label of the reason.
    var refused: [String: Int] = [:]
  }

  struct Snapshot: Sendable {
    var requests: [RequestLabels: Int] = [:]
    var handlers: [String: HandlerCounts] = [:]
    /// The number of requests refused by a rate limit, by its class.
    var rateLimited: [String: Int] = [:]
    var connections = 0
    var reloads = 0
    var failedReloads = 0
    var droppedLogLines = 0
    /// The number of connections that were closed because their clients did not read their replies.
    var droppedReaders = 0
  }

  private let state = Mutex(Snapshot())
  let startedAt = Instant.now
  private let start = ContinuousClock.now

  var uptime: Duration { ContinuousClock.now - start }
  var snapshot: Snapshot { state.withLock { $0 } }

  private func change(_ body: (inout Snapshot) -> Void) { state.withLock { body(&$0) } }

  func connected() { change { $0.connections += 1 } }
  func disconnected() { change { $0.connections -= 1 } }
  func reloaded(_ isGood: Bool) { change { isGood ? ($0.reloads += 1) : ($0.failedReloads += 1) } }
  func dropped(logLines: Int) { change { $0.droppedLogLines += logLines } }
  func droppedReader() { change { $0.droppedReaders += 1 } }

  /// Counts a complete request that is passed to the processes of its handler.
  func started(_ handler: String) { change { $0.handlers[handler, default: HandlerCounts()].inFlight += 1 } }

  /// Counts a request that has a reply or will get none.
  /// - Parameter refusal: why no process took it; nil if one did.
  func ended(_ handler: String, _ timing: RequestTiming, _ failure: LastFailure?, _ refusal: AdmissionRefusal?) {
    change { counts in
      var own = counts.handlers.removeValue(forKey: handler) ?? HandlerCounts()
      own.inFlight -= 1
      own.queue.add(timing.queue.seconds)
      own.start.add(timing.start.seconds)
      own.run.add(timing.run.seconds)
      if let failure { own.lastFailure = failure }
      if let refusal { own.refused[refusal.label, default: 0] += 1 }
      counts.handlers[handler] = own
    }
  }

  /// Waits until every request that was started has ended, but not longer than `limit`. When the processes have been
  /// shut down, the last results are still on their way to the event loops, which log them.
  func waitUntilNothingIsInFlight(for limit: Duration) async {
    let deadline = ContinuousClock.now + limit
    while snapshot.handlers.values.contains(where: { $0.inFlight > 0 }), ContinuousClock.now < deadline {
      try? await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Counts a request that was answered, by its handler or by the gateway itself.
  /// - Parameters:
  ///   - route: the path of its route; `-` if it has none.
  ///   - rateClass: the class of the rate limit that refused it; nil if none did.
  func answered(method: String, route: String, handler: String?, status: Int, rateLimitedBy rateClass: String?) {
    let statusClass = "\(status / 100)xx"
    let labels = RequestLabels(route: route, method: method, statusClass: statusClass)
    change { counts in
      counts.requests[labels, default: 0] += 1
      if let handler {
        counts.handlers[handler, default: HandlerCounts()].statusClasses[statusClass, default: 0] += 1
      }
      if let rateClass { counts.rateLimited[rateClass, default: 0] += 1 }
    }
  }
}
