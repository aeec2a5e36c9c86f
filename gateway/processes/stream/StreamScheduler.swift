import NIOCore

/// How far stream processes may go.
struct StreamLimits: Sendable {
  /// How many a handler has, and how many requests one of them has before it at a time.
  var processes = 2
  var window = 64
  /// How many requests of a handler wait for a place in a window, and for how long.
  var waiting = 256
  /// Whether as many may wait while a queue lasts; else only as many as there are places.
  var isPatient = false
  var longestWait = Duration.seconds(1)
  /// When a process is replaced.
  var requests = 100_000
  var age = Duration.seconds(600)
}

/// Which of a handler's processes a request goes to, who waits, and when processes are started, retired and held back: the
/// decisions, given the time, without a pipe or a thread. A process answers its requests in their order.
struct StreamRoster<Request: Sendable>: Sendable {
  typealias Time = ContinuousClock.Instant

  enum Arrival: Sendable {
    case given(to: Int)
    /// Until a place is free, or `giveUp`.
    case waits(ticket: Int)
    case turnedAway
    /// No process is there, and none is started for so many seconds.
    case heldBack(seconds: Int)
  }

  /// A request that a process has before it, and since when.
  struct Given: Sendable {
    let request: Request
    let since: Time
  }

  private enum Phase: Sendable { case starting, serving, retiring }

  private struct Member: Sendable {
    var phase = Phase.starting
    let since: Time
    var inFlight = CircularBuffer<Given>()
    var taken = 0
    var hasAnswered = false
  }

  /// Between one process that ended before it answered and the next, from the second on.
  private static var firstPause: Duration { .milliseconds(200) }
  private static var longestPause: Duration { .seconds(10) }

  let limits: StreamLimits
  private var members: [Int: Member] = [:]
  private var waiting = CircularBuffer<(ticket: Int, request: Request)>()
  private var room: WaitingRoom
  private var lastNumber = 0
  private var firstTicket = 0
  private var lastTicket = 0
  /// How many processes in a row ended badly without a single answer.
  private var falseStarts = 0
  private var pauseEnds: Time?
  /// Each process ends as soon as nobody waits for it, also one that is started after this.
  private var isWindingUp = false

  init(_ limits: StreamLimits) {
    self.limits = limits
    let least = limits.isPatient ? limits.waiting : limits.processes * limits.window
    room = WaitingRoom(seats: limits.waiting, least: least)
  }

  // MARK: - Requests

  /// Whether a request that came now would be turned away.
  mutating func isFull(at now: Time) -> Bool { hasAble && best == nil && !room.hasSeat(at: now) }

  /// Of the processes that have a place, the one that has the fewest requests before it.
  private var best: Int? {
    let places = members.lazy.filter { [limits] in $0.value.phase == .serving && $0.value.inFlight.count < limits.window
    }
    return places.min(by: { ($0.value.inFlight.count, $0.key) < ($1.value.inFlight.count, $1.key) })?.key
  }

  /// A request comes: it goes to the process that has the fewest before it.
  mutating func arrive(_ request: Request, at now: Time) -> Arrival {
    if let best {
      take(request, by: best, at: now)
      return .given(to: best)
    }
    if let pause = pause(at: now), !hasAble { return .heldBack(seconds: pause.milliseconds / 1000 + 1) }
    guard room.sitDown(at: now) else { return .turnedAway }
    lastTicket += 1
    waiting.append((lastTicket, request))
    return .waits(ticket: lastTicket)
  }

  /// A request that has waited long enough; nil when it has been given to a process meanwhile.
  mutating func giveUp(_ ticket: Int, at now: Time) -> Request? {
    // Tickets rise along the queue, and mostly this one is past its head.
    guard let head = waiting.first, head.ticket <= ticket,
      let index = waiting.firstIndex(where: { $0.ticket >= ticket }),
      waiting[index].ticket == ticket
    else { return nil }
    room.getUp(at: now)
    return waiting.remove(at: index).request
  }

  /// The next of those that wait, where the process has a place for it.
  mutating func next(for number: Int, at now: Time) -> Request? {
    guard let member = members[number], member.phase == .serving, member.inFlight.count < limits.window,
      let request = waiting.popFirst()?.request
    else { return nil }
    room.getUp(at: now)
    take(request, by: number, at: now)
    return request
  }

  /// The process has answered its first request.
  mutating func answered(by number: Int) -> Given? {
    members[number]?.hasAnswered = true
    falseStarts = 0
    pauseEnds = nil
    return members[number]?.inFlight.popFirst()
  }

  /// The request that the process is at, whatever else it has before it.
  func first(of number: Int) -> Request? { members[number]?.inFlight.first?.request }

  private mutating func take(_ request: Request, by number: Int, at now: Time) {
    guard var member = members.removeValue(forKey: number) else { return }
    member.inFlight.append(Given(request: request, since: now))
    member.taken += 1
    if member.taken >= limits.requests { member.phase = .retiring }
    members[number] = member
    room.serve(at: now)
  }

  // MARK: - Processes

  /// Whether any process is there, or will be, that may get requests.
  private var hasAble: Bool { members.values.contains { $0.phase != .retiring } }

  /// The number of a process that should be started now: where somebody waits and there is none, or where in each process
  /// requests stand behind one another.
  mutating func toStart(at now: Time) -> Int? {
    let able = members.values.filter { $0.phase != .retiring }
    let isWanted = able.isEmpty ? !waiting.isEmpty : able.allSatisfy { $0.phase == .serving && $0.inFlight.count > 1 }
    guard isWanted, able.count < limits.processes, pause(at: now) == nil else { return nil }
    lastNumber += 1
    members[lastNumber] = Member(since: now)
    return lastNumber
  }

  /// The process runs: it can be given requests.
  mutating func serve(_ number: Int, at now: Time) {
    guard members[number]?.phase == .starting else { return }
    members[number]?.phase = .serving
    room.reopen(at: now)
  }

  /// The process gets no more requests.
  mutating func retire(_ number: Int) { members[number]?.phase = .retiring }

  mutating func retireAll() { for number in members.keys { retire(number) } }

  mutating func windUp() { isWindingUp = true }

  var standing: Standing {
    func count(_ phase: Phase) -> Int { members.values.count { $0.phase == phase } }
    return Standing(
      waiting: waiting.count,
      processes: ["starting": count(.starting), "serving": count(.serving), "retiring": count(.retiring)])
  }

  /// Whether the process has nothing left to do, and will get nothing: too old, or retired before.
  mutating func isDone(_ number: Int, at now: Time) -> Bool {
    guard let member = members[number] else { return true }
    let isIdle = member.inFlight.isEmpty && waiting.isEmpty
    if member.phase == .serving, now - member.since >= limits.age || isWindingUp && isIdle { retire(number) }
    return members[number]?.phase == .retiring && member.inFlight.isEmpty
  }

  /// The process is no more. Of what it had before it the last `unbegun` never reached it: they wait `again`, before all
  /// others. The others are `lost`: nobody knows how far they came.
  mutating func end(
    _ number: Int, unbegun: Int, isFault: Bool, at now: Time
  ) -> (lost: [Given], again: [(ticket: Int, request: Request)]) {
    guard let member = members.removeValue(forKey: number) else { return ([], []) }
    let lost = member.inFlight.count - min(unbegun, member.inFlight.count)
    for given in member.inFlight.dropFirst(lost).reversed() {
      firstTicket -= 1
      waiting.prepend((firstTicket, given.request))
      room.add(at: now)
    }
    let again = Array(waiting.prefix(member.inFlight.count - lost))
    if isFault, !member.hasAnswered { startedInVain(at: now) }
    return (Array(member.inFlight.prefix(lost)), again)
  }

  private mutating func startedInVain(at now: Time) {
    falseStarts += 1
    guard falseStarts > 1 else { return }
    let pause = Self.firstPause * (1 << min(falseStarts - 2, 10))
    pauseEnds = now + min(pause, Self.longestPause)
  }

  /// How long no process is started because the last ones ended before they answered.
  func pause(at now: Time) -> Duration? {
    guard let pauseEnds, now < pauseEnds else { return nil }
    return pauseEnds - now
  }

  /// Those who wait for a process that does not come: to be called when the last one has ended and none is started.
  mutating func sendAway(at now: Time) -> [Request] {
    guard !hasAble else { return [] }
    defer {
      for _ in waiting { room.getUp(at: now) }
      waiting.removeAll()
    }
    return waiting.map(\.request)
  }
}
