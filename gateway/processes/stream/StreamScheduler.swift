import NIOCore

/// The limits of the stream processes of a handler.
struct StreamLimits: Sendable {
  /// How many processes a handler has, and how many unanswered requests each of them may have.
  var processes = 2
  var window = 64
  /// How many requests for a handler may wait for a place in a window, and for how long.
  var queue = 256
  var longestWait = Duration.seconds(1)
  /// True if the whole queue may always be used. Otherwise overload shortens it.
  var keepsQueue = false
  /// A process is replaced after this number of requests or this time.
  var requests = 100_000
  var age = Duration.seconds(600)
}

/// Decides which process of a handler gets a request, which requests wait, and when processes are started, retired or
/// held back. The caller passes the time; the scheduler uses no pipe and no thread. A process replies to its requests
/// in order.
struct StreamScheduler<Request: Sendable>: Sendable {
  typealias Time = ContinuousClock.Instant

  enum Placement: Sendable {
    case assigned(to: Int)
    /// The request waits until a process has a place for it, or until `giveUp` is called with this number.
    case queued(Int)
    case refused
    /// There is no process, and none is started for this number of seconds.
    case backingOff(seconds: Int)
  }

  /// A request that has been assigned to a process, and the time of the assignment.
  struct Assignment: Sendable {
    let request: Request
    let since: Time
  }

  private enum Phase: Sendable { case starting, serving, retiring }

  private struct ProcessState: Sendable {
    var phase = Phase.starting
    let since: Time
    var inFlight = CircularBuffer<Assignment>()
    var taken = 0
    var hasReplied = false
  }

  /// The pause before the next start after two processes in a row have ended without a reply. It doubles with each
  /// further one, up to `longestPause`.
  private static var firstPause: Duration { .milliseconds(200) }
  private static var longestPause: Duration { .seconds(10) }

  let limits: StreamLimits
  private var processes: [Int: ProcessState] = [:]
  private var waiting = CircularBuffer<(number: Int, request: Request)>()
  private var queueLimit: QueueLimit
  private var lastProcess = 0
  private var firstInQueue = 0
  private var lastInQueue = 0
  /// How many processes in a row have failed without a single reply.
  private var failedStarts = 0
  private var pauseEnds: Time?
  /// True if each process ends as soon as no request waits, including processes that are started later.
  private var isDraining = false

  init(_ limits: StreamLimits) {
    self.limits = limits
    let minimum = limits.keepsQueue ? limits.queue : limits.processes * limits.window
    queueLimit = QueueLimit(capacity: limits.queue, minimum: minimum)
  }

  // MARK: - Requests

  /// True if a request that arrived now would be refused.
  mutating func isFull(at now: Time) -> Bool { hasActive && leastLoaded == nil && !queueLimit.hasRoom(at: now) }

  /// The process with the fewest requests among those that have a place; nil if there is none.
  private var leastLoaded: Int? {
    let open = processes.lazy.filter { [limits] in
      $0.value.phase == .serving && $0.value.inFlight.count < limits.window
    }
    return open.min(by: { ($0.value.inFlight.count, $0.key) < ($1.value.inFlight.count, $1.key) })?.key
  }

  /// Assigns a new request to the process with the fewest requests, or queues or refuses it.
  mutating func arrive(_ request: Request, at now: Time) -> Placement {
    if let leastLoaded {
      assign(request, to: leastLoaded, at: now)
      return .assigned(to: leastLoaded)
    }
    if let pause = pause(at: now), !hasActive { return .backingOff(seconds: pause.milliseconds / 1000 + 1) }
    guard queueLimit.join(at: now) else { return .refused }
    lastInQueue += 1
    waiting.append((lastInQueue, request))
    return .queued(lastInQueue)
  }

  /// Removes and returns a request that has waited too long; nil if it has been assigned in the meantime.
  mutating func giveUp(_ number: Int, at now: Time) -> Request? {
    // The numbers increase along the queue, and in most cases this one has left it.
    guard let head = waiting.first, head.number <= number,
      let index = waiting.firstIndex(where: { $0.number >= number }),
      waiting[index].number == number
    else { return nil }
    queueLimit.leave(at: now)
    return waiting.remove(at: index).request
  }

  /// Assigns and returns the next waiting request; nil if there is none or the process has no place.
  mutating func next(for process: Int, at now: Time) -> Request? {
    guard let state = processes[process], state.phase == .serving, state.inFlight.count < limits.window,
      let request = waiting.popFirst()?.request
    else { return nil }
    queueLimit.leave(at: now)
    assign(request, to: process, at: now)
    return request
  }

  /// Removes and returns the first request of the process, which has replied to it.
  mutating func replied(_ process: Int) -> Assignment? {
    processes[process]?.hasReplied = true
    failedStarts = 0
    pauseEnds = nil
    return processes[process]?.inFlight.popFirst()
  }

  /// Returns the oldest unanswered request of the process.
  func first(of process: Int) -> Request? { processes[process]?.inFlight.first?.request }

  private mutating func assign(_ request: Request, to process: Int, at now: Time) {
    guard var state = processes.removeValue(forKey: process) else { return }
    state.inFlight.append(Assignment(request: request, since: now))
    state.taken += 1
    if state.taken >= limits.requests { state.phase = .retiring }
    processes[process] = state
    queueLimit.recordServed(at: now)
  }

  // MARK: - Processes

  /// True if there is a process that can be assigned requests now or soon.
  private var hasActive: Bool { processes.values.contains { $0.phase != .retiring } }

  /// Returns the number of a process that the caller must start now; nil if none is needed. One is needed if a request
  /// waits and there is no process, or if every process has more than one request.
  mutating func processToStart(at now: Time) -> Int? {
    let active = processes.values.filter { $0.phase != .retiring }
    let areBusy = active.allSatisfy { $0.phase == .serving && $0.inFlight.count > 1 }
    let isNeeded = active.isEmpty ? !waiting.isEmpty : areBusy
    guard isNeeded, active.count < limits.processes, pause(at: now) == nil else { return nil }
    lastProcess += 1
    processes[lastProcess] = ProcessState(since: now)
    return lastProcess
  }

  /// Records that the process has started. It can then be assigned requests.
  mutating func started(_ process: Int, at now: Time) {
    guard processes[process]?.phase == .starting else { return }
    processes[process]?.phase = .serving
    queueLimit.capacityAdded(at: now)
  }

  /// Assigns no more requests to the process. It ends when it has none left.
  mutating func retire(_ process: Int) { processes[process]?.phase = .retiring }

  mutating func retireAll() { for process in processes.keys { retire(process) } }

  /// Lets each process end as soon as no request waits.
  mutating func drain() { isDraining = true }

  var status: ProcessStatus {
    func count(_ phase: Phase) -> Int { processes.values.count { $0.phase == phase } }
    return ProcessStatus(
      waiting: waiting.count,
      processes: ["starting": count(.starting), "serving": count(.serving), "retiring": count(.retiring)])
  }

  /// True if the process has no requests and will get none, because it is too old or has been retired.
  mutating func isDone(_ process: Int, at now: Time) -> Bool {
    guard let state = processes[process] else { return true }
    let isIdle = state.inFlight.isEmpty && waiting.isEmpty
    if state.phase == .serving, now - state.since >= limits.age || isDraining && isIdle { retire(process) }
    return processes[process]?.phase == .retiring && state.inFlight.isEmpty
  }

  /// Removes a process that has ended. The last `unsent` of its requests never reached it, so they are `requeued`
  /// before all others. The rest are `lost`: it is unknown how much of them the process has done.
  mutating func ended(
    _ process: Int, unsent: Int, isFailure: Bool, at now: Time
  ) -> (lost: [Assignment], requeued: [(number: Int, request: Request)]) {
    guard let state = processes.removeValue(forKey: process) else { return ([], []) }
    let lost = state.inFlight.count - min(unsent, state.inFlight.count)
    for assignment in state.inFlight.dropFirst(lost).reversed() {
      firstInQueue -= 1
      waiting.prepend((firstInQueue, assignment.request))
      queueLimit.rejoin(at: now)
    }
    let requeued = Array(waiting.prefix(state.inFlight.count - lost))
    if isFailure, !state.hasReplied { startFailed(at: now) }
    return (Array(state.inFlight.prefix(lost)), requeued)
  }

  private mutating func startFailed(at now: Time) {
    failedStarts += 1
    guard failedStarts > 1 else { return }
    let pause = Self.firstPause * (1 << min(failedStarts - 2, 10))
    pauseEnds = now + min(pause, Self.longestPause)
  }

  /// The remaining time in which no process is started, because the last ones ended without a reply; nil outside it.
  func pause(at now: Time) -> Duration? {
    guard let pauseEnds, now < pauseEnds else { return nil }
    return pauseEnds - now
  }

  /// Removes and returns all waiting requests if no process will take them. Must be called when a process has ended and
  /// none is started.
  mutating func refuseWaiting(at now: Time) -> [Request] {
    guard !hasActive else { return [] }
    defer {
      for _ in waiting { queueLimit.leave(at: now) }
      waiting.removeAll()
    }
    return waiting.map(\.request)
  }
}
