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
  private var rooms: [String: WaitingRoom] = [:]
  private var lastTicket = 0

  init(_ limits: AdmissionLimits) { self.limits = limits }

  func waiting(for handler: String) -> Int { rooms[handler]?.taken ?? 0 }

  mutating func arrive(_ handler: String, at now: ContinuousClock.Instant) -> Verdict {
    if hasPlace(for: handler) {
      enter(handler, at: now)
      return .enter
    }
    guard room(of: handler, { $0.sitDown(at: now) }) else { return .turnedAway }
    lastTicket += 1
    waiting.append((lastTicket, handler))
    return .wait(ticket: lastTicket)
  }

  /// One goes out. The ticket that takes a place that is free now, first come, first served; nil when nobody can.
  mutating func leave(_ handler: String, at now: ContinuousClock.Instant) -> Int? {
    inside -= 1
    Self.take(1, from: &insideOf, handler)
    guard let index = waiting.firstIndex(where: { hasPlace(for: $0.handler) }) else { return nil }
    let next = remove(index, at: now)
    enter(next.handler, at: now)
    return next.ticket
  }

  /// A ticket that has waited long enough. False when it has been let in meanwhile.
  mutating func giveUp(_ ticket: Int, at now: ContinuousClock.Instant) -> Bool {
    guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return false }
    _ = remove(index, at: now)
    return true
  }

  private func hasPlace(for handler: String) -> Bool {
    inside < limits.places && insideOf[handler, default: 0] < limits.placesOfOne
  }

  private mutating func enter(_ handler: String, at now: ContinuousClock.Instant) {
    room(of: handler) { $0.serve(at: now) }
    inside += 1
    insideOf[handler, default: 0] += 1
  }

  private mutating func remove(_ index: Int, at now: ContinuousClock.Instant) -> (ticket: Int, handler: String) {
    let one = waiting.remove(at: index)
    room(of: one.handler) { $0.getUp(at: now) }
    return one
  }

  @discardableResult
  private mutating func room<R>(of handler: String, _ body: (inout WaitingRoom) -> R) -> R {
    body(&rooms[handler, default: WaitingRoom(seats: limits.waitingOfOne, least: limits.placesOfOne)])
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
    switch queue.arrive(handler, at: .now) {
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
    if let ticket = queue.leave(handler, at: .now) { waiters.removeValue(forKey: ticket)?.resume(returning: nil) }
  }

  private func giveUp(_ ticket: Int) {
    if queue.giveUp(ticket, at: .now) { waiters.removeValue(forKey: ticket)?.resume(returning: .waitedTooLong) }
  }
}
