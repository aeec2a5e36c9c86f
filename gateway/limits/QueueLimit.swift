/// Decides how many requests may wait in a queue. The time is given.
///
/// A queue that comes and goes is a burst and may use the whole capacity. A queue that lasts longer than `interval` without
/// having been empty for that long is overload. Then only half as many may wait as were served in an interval, so that a new
/// request waits about half an interval; but never fewer than `minimum`, for handlers that are served seldom. A request that
/// finds the queue full is refused before any work is spent on it.
struct QueueLimit: Sendable {
  typealias Time = ContinuousClock.Instant

  /// How long a queue may last before it counts as overload, and the time over which served requests are counted.
  static var interval: Duration { .milliseconds(100) }

  let capacity: Int
  let minimum: Int
  private(set) var count = 0
  /// When the queue began, and when it was last empty.
  private var queuedSince: Time?
  private var emptySince: Time?
  /// Requests served in the present interval and in the one before: many are often served at once.
  private var intervalStart: Time?
  private var served = 0
  private var servedBefore = 0

  /// - Parameter minimum: usually the number of requests that run at a time.
  init(capacity: Int, minimum: Int = 1) {
    self.capacity = capacity
    self.minimum = min(minimum, capacity)
  }

  /// Whether one more request may wait.
  mutating func hasRoom(at now: Time) -> Bool { count < limit(at: now) }

  /// One more request waits. False when the queue is full.
  mutating func join(at now: Time) -> Bool {
    guard hasRoom(at: now) else { return false }
    rejoin(at: now)
    return true
  }

  /// A request that had left the queue waits again, even where the queue is full.
  mutating func rejoin(at now: Time) {
    if isQuiet(at: now) { queuedSince = now }
    count += 1
  }

  mutating func leave(at now: Time) {
    count -= 1
    if count == 0 { emptySince = now }
  }

  /// A request is served, whether it waited or not.
  mutating func recordServed(at now: Time) {
    startInterval(at: now)
    served += 1
  }

  /// A process has started. Requests have waited for its start, which is no overload.
  mutating func capacityAdded(at now: Time) { queuedSince = now }

  private func isQuiet(at now: Time) -> Bool { count == 0 && emptySince.map { now - $0 >= Self.interval } ?? true }

  private mutating func limit(at now: Time) -> Int {
    guard !isQuiet(at: now), let queuedSince, now - queuedSince > Self.interval else { return capacity }
    startInterval(at: now)
    return min(capacity, max(minimum, served / 2, servedBefore / 2))
  }

  private mutating func startInterval(at now: Time) {
    guard let intervalStart, now - intervalStart < Self.interval * 2 else {
      (self.intervalStart, served, servedBefore) = (now, 0, 0)
      return
    }
    if now - intervalStart >= Self.interval {
      (self.intervalStart, served, servedBefore) = (intervalStart + Self.interval, 0, served)
    }
  }
}
