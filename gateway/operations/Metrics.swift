import Synchronization
import Wire

/// What the gateway counts. Every set of labels is bounded: routes by their patterns, methods and handlers that there are.
final class Metrics: Sendable {
  struct RequestKind: Sendable, Hashable, Comparable {
    let route: String
    let method: String
    /// `2xx` and so on.
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
  }

  struct Counts: Sendable {
    var requests: [RequestKind: Int] = [:]
    var handlers: [String: HandlerCounts] = [:]
    /// By rate class.
    var refusals: [String: Int] = [:]
    var connections = 0
    var reloads = 0
    var failedReloads = 0
    var unsaidLines = 0
  }

  private let state = Mutex(Counts())
  let startedAt = Instant.now
  private let start = ContinuousClock.now

  var uptime: Duration { ContinuousClock.now - start }
  var counts: Counts { state.withLock { $0 } }

  private func change(_ body: (inout Counts) -> Void) { state.withLock { body(&$0) } }

  func connected() { change { $0.connections += 1 } }
  func disconnected() { change { $0.connections -= 1 } }
  func reloaded(_ isGood: Bool) { change { isGood ? ($0.reloads += 1) : ($0.failedReloads += 1) } }
  func leftOut(lines: Int) { change { $0.unsaidLines += lines } }

  /// A request is complete and on its way to a process.
  func began(_ handler: String) { change { $0.handlers[handler, default: HandlerCounts()].inFlight += 1 } }

  /// It has an answer.
  func ended(_ handler: String, _ times: Times, _ failure: LastFailure?) {
    change { counts in
      var own = counts.handlers.removeValue(forKey: handler) ?? HandlerCounts()
      own.inFlight -= 1
      own.queue.add(times.queue.seconds)
      own.start.add(times.start.seconds)
      own.run.add(times.run.seconds)
      if let failure { own.lastFailure = failure }
      counts.handlers[handler] = own
    }
  }

  /// A request was answered, by whomever.
  func answered(_ exchange: Exchange, status: Int, refusedBy rateClass: String?) {
    let statusClass = "\(status / 100)xx"
    let kind = RequestKind(route: exchange.pattern, method: exchange.method, statusClass: statusClass)
    change { counts in
      counts.requests[kind, default: 0] += 1
      if let handler = exchange.handler {
        counts.handlers[handler, default: HandlerCounts()].statusClasses[statusClass, default: 0] += 1
      }
      if let rateClass { counts.refusals[rateClass, default: 0] += 1 }
    }
  }
}
