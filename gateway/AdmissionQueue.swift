/// Who may start a handler process now, who waits and who is sent away: the decision, without a clock or a thread.
struct AdmissionQueue: Sendable {
  enum Verdict: Sendable, Equatable {
    case enter
    /// Wait until `leave` names the ticket, or take it back with `giveUp`.
    case wait(ticket: Int)
    case turnedAway
  }

  /// How many may be inside, and how many may wait.
  let places: Int
  let waitingPlaces: Int
  private(set) var inside = 0
  private var waiting: [Int] = []
  private var lastTicket = 0

  init(places: Int, waitingPlaces: Int) {
    self.places = places
    self.waitingPlaces = waitingPlaces
  }

  mutating func arrive() -> Verdict {
    if inside < places {
      inside += 1
      return .enter
    }
    guard waiting.count < waitingPlaces else { return .turnedAway }
    lastTicket += 1
    waiting.append(lastTicket)
    return .wait(ticket: lastTicket)
  }

  /// One goes out. The ticket that takes the free place, first come, first served; nil when nobody waits.
  mutating func leave() -> Int? {
    guard waiting.isEmpty else { return waiting.removeFirst() }
    inside -= 1
    return nil
  }

  /// A ticket that has waited long enough. False when it has been let in meanwhile.
  mutating func giveUp(_ ticket: Int) -> Bool {
    guard let index = waiting.firstIndex(of: ticket) else { return false }
    waiting.remove(at: index)
    return true
  }
}

/// The queue with its waiting requests.
actor Admission {
  private var queue: AdmissionQueue
  private let longestWait: Duration
  private var waiters: [Int: CheckedContinuation<Bool, Never>] = [:]

  init(places: Int, waitingPlaces: Int, longestWait: Duration) {
    queue = AdmissionQueue(places: places, waitingPlaces: waitingPlaces)
    self.longestWait = longestWait
  }

  /// Waits for a place. False when there is none in time; after true, `leave` must be called.
  func enter() async -> Bool {
    switch queue.arrive() {
    case .enter: return true
    case .turnedAway: return false
    case .wait(let ticket):
      Task {
        try? await Task.sleep(for: longestWait)
        self.giveUp(ticket)
      }
      return await withCheckedContinuation { waiters[ticket] = $0 }
    }
  }

  func leave() {
    if let ticket = queue.leave() { waiters.removeValue(forKey: ticket)?.resume(returning: true) }
  }

  private func giveUp(_ ticket: Int) {
    if queue.giveUp(ticket) { waiters.removeValue(forKey: ticket)?.resume(returning: false) }
  }
}
