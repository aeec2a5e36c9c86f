/// The limits of requests that each run in a process of their own.
struct AdmissionLimits: Sendable, Equatable {
  /// The number of slots for all handlers together, and the number of slots that one handler may use.
  var slots = 16
  var slotsPerHandler = 16
  /// How many requests for one handler may wait, and for how long.
  var queuePerHandler = 256
  var longestWait = Duration.seconds(1)
}

/// Why no process took a request.
enum AdmissionRefusal: Sendable, Equatable, CaseIterable {
  case queueIsFull
  case waitedTooLong
  case isStopping

  /// The reason for the log.
  var reason: String {
    switch self {
    case .queueIsFull: "too many requests wait for this handler"
    case .waitedTooLong: "no process was free within the longest wait"
    case .isStopping: "the gateway is stopping"
    }
  }

  /// The value of the label `reason` in the metrics.
  var label: String {
    switch self {
    case .queueIsFull: "queue-full"
    case .waitedTooLong: "waited-too-long"
    case .isStopping: "stopping"
    }
  }
}

/// Decides whether a request may start a handler process now, waits or is refused. It uses no clock and no thread.
struct AdmissionQueue: Sendable {
  enum Admission: Sendable, Equatable {
    case admitted
    /// The request waits until `leave` returns this number, or `giveUp` removes it.
    case queued(Int)
    case refused
  }

  let limits: AdmissionLimits
  private(set) var running = 0
  private var runningByHandler: [String: Int] = [:]
  private var waiting: [(number: Int, handler: String)] = []
  private var queueLimits: [String: QueueLimit] = [:]
  private var lastNumber = 0

  init(_ limits: AdmissionLimits) { self.limits = limits }

  func waiting(for handler: String) -> Int { queueLimits[handler]?.count ?? 0 }

  mutating func arrive(_ handler: String, at now: ContinuousClock.Instant) -> Admission {
    if hasSlot(for: handler) {
      start(handler, at: now)
      return .admitted
    }
    guard changeLimit(of: handler, { $0.join(at: now) }) else { return .refused }
    lastNumber += 1
    waiting.append((lastNumber, handler))
    return .queued(lastNumber)
  }

  /// Frees the slot of a request that has ended. Returns the number of the first waiting request that may run now,
  /// which takes the slot; nil if there is none.
  mutating func leave(_ handler: String, at now: ContinuousClock.Instant) -> Int? {
    running -= 1
    let left = runningByHandler[handler, default: 0] - 1
    runningByHandler[handler] = left > 0 ? left : nil
    guard let index = waiting.firstIndex(where: { hasSlot(for: $0.handler) }) else { return nil }
    let next = remove(index, at: now)
    start(next.handler, at: now)
    return next.number
  }

  /// Removes a request that has waited too long. False if it has been admitted in the meantime.
  mutating func giveUp(_ number: Int, at now: ContinuousClock.Instant) -> Bool {
    guard let index = waiting.firstIndex(where: { $0.number == number }) else { return false }
    _ = remove(index, at: now)
    return true
  }

  private func hasSlot(for handler: String) -> Bool {
    running < limits.slots && runningByHandler[handler, default: 0] < limits.slotsPerHandler
  }

  private mutating func start(_ handler: String, at now: ContinuousClock.Instant) {
    changeLimit(of: handler) { $0.recordServed(at: now) }
    running += 1
    runningByHandler[handler, default: 0] += 1
  }

  private mutating func remove(_ index: Int, at now: ContinuousClock.Instant) -> (number: Int, handler: String) {
    let request = waiting.remove(at: index)
    changeLimit(of: request.handler) { $0.leave(at: now) }
    return request
  }

  @discardableResult
  private mutating func changeLimit<R>(of handler: String, _ body: (inout QueueLimit) -> R) -> R {
    body(
      &queueLimits[handler, default: QueueLimit(capacity: limits.queuePerHandler, minimum: limits.slotsPerHandler)])
  }
}

/// The admission queue and the tasks that wait in it.
actor AdmissionController {
  private var queue: AdmissionQueue
  private let longestWait: Duration
  private var waiters: [Int: CheckedContinuation<AdmissionRefusal?, Never>] = [:]

  init(_ limits: AdmissionLimits) {
    queue = AdmissionQueue(limits)
    longestWait = limits.longestWait
  }

  func waiting(for handler: String) -> Int { queue.waiting(for: handler) }

  /// Waits for a slot. Nil if the request has one; then the caller must call `release`. Otherwise returns the reason
  /// for the refusal.
  func acquire(_ handler: String) async -> AdmissionRefusal? {
    switch queue.arrive(handler, at: .now) {
    case .admitted: return nil
    case .refused: return .queueIsFull
    case .queued(let number):
      Task {
        try? await Task.sleep(for: longestWait)
        self.giveUp(number)
      }
      return await withCheckedContinuation { waiters[number] = $0 }
    }
  }

  func release(_ handler: String) {
    if let number = queue.leave(handler, at: .now) { waiters.removeValue(forKey: number)?.resume(returning: nil) }
  }

  private func giveUp(_ number: Int) {
    if queue.giveUp(number, at: .now) { waiters.removeValue(forKey: number)?.resume(returning: .waitedTooLong) }
  }
}
