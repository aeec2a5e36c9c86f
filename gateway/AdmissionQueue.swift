/// How many may go on at a time.
struct AdmissionLimits: Sendable, Equatable {
  /// How many may be inside, of all handlers and of one.
  var places = 16
  var placesOfOne = 16
  /// How many of one handler may wait, and for how long.
  var waitingOfOne = 256
  var longestWait = Duration.seconds(1)
}

/// Who may start a handler process now, who waits and who is sent away: the decision, without a clock or a thread.
struct AdmissionQueue: Sendable {
  enum Verdict: Sendable, Equatable {
    case enter
    /// Wait until `leave` names the ticket, or take it back with `giveUp`.
    case wait(ticket: Int)
    case turnedAway
  }

  let limits: AdmissionLimits
  private(set) var inside = 0
  private var insideOf: [String: Int] = [:]
  private var waiting: [(ticket: Int, handler: String)] = []
  private var waitingOf: [String: Int] = [:]
  private var lastTicket = 0

  init(_ limits: AdmissionLimits) { self.limits = limits }

  func waiting(for handler: String) -> Int { waitingOf[handler] ?? 0 }

  mutating func arrive(_ handler: String) -> Verdict {
    if hasPlace(for: handler) {
      enter(handler)
      return .enter
    }
    guard waiting(for: handler) < limits.waitingOfOne else { return .turnedAway }
    lastTicket += 1
    waiting.append((lastTicket, handler))
    waitingOf[handler, default: 0] += 1
    return .wait(ticket: lastTicket)
  }

  /// One goes out. The ticket that takes a place that is free now, first come, first served; nil when nobody can.
  mutating func leave(_ handler: String) -> Int? {
    inside -= 1
    Self.take(1, from: &insideOf, handler)
    guard let index = waiting.firstIndex(where: { hasPlace(for: $0.handler) }) else { return nil }
    let next = remove(index)
    enter(next.handler)
    return next.ticket
  }

  /// A ticket that has waited long enough. False when it has been let in meanwhile.
  mutating func giveUp(_ ticket: Int) -> Bool {
    guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return false }
    _ = remove(index)
    return true
  }

  private func hasPlace(for handler: String) -> Bool {
    inside < limits.places && insideOf[handler, default: 0] < limits.placesOfOne
  }

  private mutating func enter(_ handler: String) {
    inside += 1
    insideOf[handler, default: 0] += 1
  }

  private mutating func remove(_ index: Int) -> (ticket: Int, handler: String) {
    let one = waiting.remove(at: index)
    Self.take(1, from: &waitingOf, one.handler)
    return one
  }

  private static func take(_ number: Int, from counts: inout [String: Int], _ handler: String) {
    let left = counts[handler, default: 0] - number
    counts[handler] = left > 0 ? left : nil
  }
}

/// The queue with its waiting requests.
actor Admission {
  private var queue: AdmissionQueue
  private let longestWait: Duration
  private var waiters: [Int: CheckedContinuation<Refusal?, Never>] = [:]

  init(_ limits: AdmissionLimits) {
    queue = AdmissionQueue(limits)
    longestWait = limits.longestWait
  }

  func waiting(for handler: String) -> Int { queue.waiting(for: handler) }

  /// Waits for a place. Why there is none in time; after nil, `leave` must be called.
  func enter(_ handler: String) async -> Refusal? {
    switch queue.arrive(handler) {
    case .enter: return nil
    case .turnedAway: return .queueIsFull
    case .wait(let ticket):
      Task {
        try? await Task.sleep(for: longestWait)
        self.giveUp(ticket)
      }
      return await withCheckedContinuation { waiters[ticket] = $0 }
    }
  }

  func leave(_ handler: String) {
    if let ticket = queue.leave(handler) { waiters.removeValue(forKey: ticket)?.resume(returning: nil) }
  }

  private func giveUp(_ ticket: Int) {
    if queue.giveUp(ticket) { waiters.removeValue(forKey: ticket)?.resume(returning: .waitedTooLong) }
  }
}
