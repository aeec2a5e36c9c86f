/// Decides how many requests may wait in a queue. The caller passes the time.
///
/// A queue that empties soon is a burst and may use the whole capacity. A queue that lasts longer than `interval`,
/// without having been empty for that long, is overload. Under overload, only half as many requests may wait as were
/// served in an interval, so that a new request waits about half an interval. At least `minimum` requests may wait, for
/// handlers that serve few requests. If the queue is full, a request is refused before any work is spent on it.
struct QueueLimit: Sendable {
  typealias Time = ContinuousClock.Instant

  /// How long a queue may last before it counts as overload, and the time over which served requests are counted.
  static var interval: Duration { .milliseconds(100) }

  let capacity: Int
  let minimum: Int
  private(set) var count = 0
  /// When the queue began, and when it last became empty.
  private var queuedSince: Time?
  private var emptySince: Time?
  /// The number of requests served in the current interval and in the one before. Both are needed because many requests
  /// are often served at once.
  private var intervalStart: Time?
  private var served = 0
  private var servedBefore = 0

  /// - Parameter minimum: usually the number of requests that run at the same time.
  init(capacity: Int, minimum: Int = 1) {
    self.capacity = capacity
    self.minimum = min(minimum, capacity)
  }

  /// True if one more request may wait.
  mutating func hasRoom(at now: Time) -> Bool { count < limit(at: now) }

  /// Adds a waiting request. False if the queue is full.
  mutating func join(at now: Time) -> Bool {
    guard hasRoom(at: now) else { return false }
    rejoin(at: now)
    return true
  }

  /// Adds a request that had left the queue before, even if the queue is full.
  mutating func rejoin(at now: Time) {
    if isQuiet(at: now) { queuedSince = now }
    count += 1
  }

  /// Removes a waiting request.
  mutating func leave(at now: Time) {
    count -= 1
    if count == 0 { emptySince = now }
  }

  /// Counts a request that is being served, whether it waited or not.
  mutating func recordServed(at now: Time) {
    startInterval(at: now)
    served += 1
  }

  /// Records that a process has started. Requests that waited for its start do not count as overload.
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
