import Glibc
import Handler
import Host
import NIOCore
import Synchronization
import Wire

/// A request on its way through a stream process.
struct StreamRequest: Sendable {
  let id: String
  /// The envelope, ended by a line feed.
  let line: [UInt8]
  let arrival = ContinuousClock.now
  let deadline: ContinuousClock.Instant
  let promise: EventLoopPromise<HandlerResult>

  /// - Parameter given: when a process got it; nil where none did.
  func end(_ end: HandlerResult.End, given: ContinuousClock.Instant? = nil, errorsWereCut: Bool = false) {
    let now = ContinuousClock.now
    promise.succeed(
      HandlerResult(
        end: end, times: Times(queue: (given ?? now) - arrival, run: now - (given ?? now)),
        errorsWereCut: errorsWereCut))
  }
}

/// The stream processes of one handler: the roster with its pipes, for every event loop and for the threads that look after
/// the processes. No event loop waits: a line goes as far as a pipe takes it at once, and its process's thread sends the rest.
final class StreamPool: ProcessSource {
  fileprivate struct State: Sendable {
    var roster: StreamRoster<StreamRequest>
    var pipes: [Int: StreamPipe] = [:]
    var isStopping = false
    var stamp: FileStamp?
    var lastLook: ContinuousClock.Instant?
  }

  /// How often the handler's file is looked at.
  private static let lookInterval = Duration.seconds(1)

  let handler: HostedHandler
  let budgets: Budgets
  let environment: [String: String]
  let stop: StopSignal
  private let longestWait: Duration
  private let threads: ThreadCount
  private let ledger: ProcessLedger
  private let log: Log
  let handlerLog: HandlerLog
  private let state: Mutex<State>

  init(
    _ handler: HostedHandler, limits: StreamLimits, budgets: Budgets, environment: [String: String],
    stop: StopSignal, threads: ThreadCount, ledger: ProcessLedger, log: Log
  ) {
    self.handler = handler
    self.budgets = budgets
    self.environment = environment
    self.stop = stop
    longestWait = limits.longestWait
    self.threads = threads
    self.ledger = ledger
    self.log = log.with("handler", handler.description.name)
    handlerLog = HandlerLog(handler, log)
    state = Mutex(State(roster: StreamRoster(limits), stamp: FileStamp(handler.path)))
  }

  var timeLimit: Duration { .milliseconds(handler.description.timeLimitMs) }

  // MARK: - For event loops

  /// Has a request answered.
  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let now = ContinuousClock.now
    // Under overload most are turned away: before anything is made of them.
    if state.withLock({ $0.roster.isFull(at: now) }) {
      return loop.makeSucceededFuture(HandlerResult(end: .turnedAway(.queueIsFull)))
    }
    let call = handler.isOurs ? call : call.namedAnew
    return run(call.request.requestID, call.envelope(), at: now, on: loop)
  }

  /// Asks a step, as nobody's request.
  func ask(_ body: JSON, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let name = handler.description.name
    var request = Request(
      method: "POST", path: "/" + name, requestID: UUIDText.random().text, receivedAt: Instant.now)
    request.headers = ["content-type": "application/json"]
    request.body = body.bytes
    let envelope = request.envelope(routeKey: "POST /" + name, userAgent: "", host: "")
    return run(request.requestID, envelope.bytes, at: .now, on: loop)
  }

  private func run(
    _ id: String, _ envelope: [UInt8], at now: ContinuousClock.Instant, on loop: any EventLoop
  ) -> EventLoopFuture<HandlerResult> {
    let request = StreamRequest(
      id: id, line: envelope + [0x0A], deadline: now + timeLimit, promise: loop.makePromise(of: HandlerResult.self))
    let (arrival, number) = state.withLock { state in
      if state.isStopping { return (nil as StreamRoster<StreamRequest>.Arrival?, nil as Int?) }
      Self.look(at: handler.path, &state, now)
      let arrival = state.roster.arrive(request, at: now)
      if case .given(let number) = arrival { state.pipes[number]?.send(request.line) }
      return (arrival, state.roster.toStart(at: now))
    }
    if let number { start(number) }
    switch arrival {
    case .given: break
    case .waits(let ticket):
      giveUp(ticket, after: longestWait, on: loop)
    case .turnedAway: request.end(.turnedAway(.queueIsFull))
    case .heldBack(let seconds): request.end(.heldBack(seconds: seconds))
    case nil: request.end(.turnedAway(.isStopping))
    }
    return request.promise.futureResult
  }

  private func giveUp(_ ticket: Int, after time: Duration, on loop: any EventLoop) {
    loop.scheduleTask(in: .milliseconds(Int64(time.milliseconds))) { [self] in
      state.withLock { $0.roster.giveUp(ticket, at: .now) }?.end(.turnedAway(.waitedTooLong))
    }
  }

  /// Retires all processes when the handler's file has become another.
  private static func look(at path: String, _ state: inout State, _ now: ContinuousClock.Instant) {
    if let last = state.lastLook, now - last < lookInterval { return }
    state.lastLook = now
    let stamp = FileStamp(path)
    guard stamp != nil, stamp != state.stamp else { return }
    state.stamp = stamp
    state.retireAll()
  }

  private func start(_ number: Int) {
    ledger.began(handler.description.name)
    guard !threads.start({ StreamProcess.live(in: self, number) }) else { return }
    ended(number, .notStarted(reason: "there can be no more threads"))
  }

  func standing(of handler: String) async -> Standing { state.withLock { $0.roster.standing } }

  /// Its processes end with their last answers; a request that comes later gets a new one.
  func rest() { state.withLock { $0.retireAll() } }

  /// Another has taken its place: each process ends with its last answer. Requests that still come to it are answered.
  func retire() {
    state.withLock { state in
      state.roster.windUp()
      for pipe in state.pipes.values { pipe.ring() }
    }
  }

  /// No process is started any more.
  func startNoMore() { state.withLock { $0.isStopping = true } }

  // MARK: - For the thread of a process

  /// What the thread of a process waits for.
  struct Outlook: Sendable {
    /// The descriptor that has lines to be written; -1 without.
    let input: Int32
    let firstDeadline: ContinuousClock.Instant?
    let isBroken: Bool
    /// The process has nothing left to do; its stdin has been closed.
    let isDone: Bool
  }

  /// The process runs and takes lines; those that wait get into it.
  func opened(_ number: Int, _ pipe: StreamPipe) {
    state.withLock { state in
      state.pipes[number] = pipe
      state.roster.serve(number, at: .now)
      state.fill(number)
    }
  }

  func outlook(_ number: Int) -> Outlook {
    state.withLock { state in
      if state.pipes[number]?.isBroken == true { state.roster.retire(number) }
      let isDone = state.roster.isDone(number, at: .now)
      if isDone { state.pipes[number]?.close() }
      return Outlook(
        input: state.pipes[number]?.waitingToWrite ?? -1, firstDeadline: state.roster.first(of: number)?.deadline,
        isBroken: state.pipes[number]?.isBroken == true, isDone: isDone)
    }
  }

  /// The process gets no more requests.
  func retire(_ number: Int) { state.withLock { $0.roster.retire(number) } }

  func feed(_ number: Int) { state.withLock { $0.pipes[number]?.feed() } }

  /// The process has written replies. False when one of them answers no request, or another than the one whose turn it is: it
  /// and what follows it are nobody's.
  func answered(_ number: Int, _ replies: [Reply], errorsWereCut: Bool) -> Bool {
    let answered = state.withLock { state in
      var answered: [StreamRoster<StreamRequest>.Given] = []
      for reply in replies {
        guard let first = state.roster.first(of: number), first.id == reply.requestID,
          let given = state.roster.answered(by: number)
        else { break }
        answered.append(given)
      }
      state.fill(number)
      return answered
    }
    for (given, reply) in zip(answered, replies) {
      given.request.end(.answered(reply), given: given.since, errorsWereCut: errorsWereCut)
    }
    return answered.count == replies.count
  }

  /// The process is no more, or about to be no more. What it had before it is answered by what the fault says, but those
  /// that never reached it go to another. Nil when it has ended as it was told to.
  func ended(_ number: Int, _ fault: StreamFault?) {
    let now = ContinuousClock.now
    ledger.ended(handler.description.name, fault?.processEnd ?? .inOrder)
    let ended = state.withLock { state in state.end(number, isFault: fault != nil, at: now) }
    let known = fault ?? .ended(nil)
    for (index, given) in ended.lost.enumerated() {
      let end = index == 0 ? known.first : given.request.deadline <= now ? .tooSlow : known.others
      given.request.end(end, given: given.since)
    }
    for (ticket, request) in ended.again {
      giveUp(ticket, after: longestWait, on: request.promise.futureResult.eventLoop)
    }
    if let fault, ended.lost.isEmpty, ended.pause == nil {
      log.warn("A process ended, and nobody waited for it", ["reason": fault.words])
    }
    if let pause = ended.newPause {
      log.error("Its processes end before they answer: none is started for \(pause.milliseconds) ms")
    }
    let sentAway = ended.pause.map { HandlerResult.End.heldBack(seconds: $0.milliseconds / 1000 + 1) }
    for request in ended.sentAway { request.end(sentAway ?? known.first) }
    if let next = ended.next { start(next) }
  }
}

extension StreamPool.State {
  /// What comes of the end of a process.
  struct Ended: Sendable {
    var lost: [StreamRoster<StreamRequest>.Given]
    var again: [(ticket: Int, request: StreamRequest)]
    /// Those for whom no process will come.
    var sentAway: [StreamRequest]
    var pause: Duration?
    /// The same, where it has begun with this end.
    var newPause: Duration?
    /// The process to be started in its place.
    var next: Int?
  }

  mutating func end(_ number: Int, isFault: Bool, at now: ContinuousClock.Instant) -> Ended {
    let wasPausing = roster.pause(at: now) != nil || isStopping
    var pipe = pipes.removeValue(forKey: number)
    let (lost, again) = roster.end(number, unbegun: pipe?.unbegun ?? 0, isFault: isFault && !isStopping, at: now)
    pipe?.close()
    for number in pipes.keys { fill(number) }
    let next = isStopping ? nil : roster.toStart(at: now)
    let pause = roster.pause(at: now)
    return Ended(
      lost: lost, again: again, sentAway: next == nil ? roster.sendAway(at: now) : [], pause: pause,
      newPause: wasPausing ? nil : pause, next: next)
  }

  /// What runs gets no more requests.
  mutating func retireAll() {
    roster.retireAll()
    for pipe in pipes.values { pipe.ring() }
  }

  /// Gives the process those that wait, as far as it has places.
  mutating func fill(_ number: Int) {
    let now = ContinuousClock.now
    while let request = roster.next(for: number, at: now) { pipes[number]?.send(request.line) }
  }
}
