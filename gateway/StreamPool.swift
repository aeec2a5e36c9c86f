import Glibc
import Handler
import Host
import NIOCore
import Synchronization

/// A request on its way through a stream process.
struct StreamRequest: Sendable {
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
  private struct State: Sendable {
    var roster: StreamRoster<StreamRequest>
    var pipes: [Int: StreamPipe] = [:]
    var isStopping = false
    var stamp: FileStamp?
    var lastLook: ContinuousClock.Instant?
  }

  /// How often the handler's file is looked at.
  private static let lookInterval = Duration.seconds(1)

  let handler: HostedHandler
  let environment: [String: String]
  let stop: StopSignal
  private let longestWait: Duration
  private let threads: ThreadCount
  private let ledger: ProcessLedger
  private let log: Log
  private let state: Mutex<State>

  init(
    _ handler: HostedHandler, limits: StreamLimits, environment: [String: String], stop: StopSignal,
    threads: ThreadCount,
    ledger: ProcessLedger, log: Log
  ) {
    self.handler = handler
    self.environment = environment
    self.stop = stop
    longestWait = limits.longestWait
    self.threads = threads
    self.ledger = ledger
    self.log = log.with("handler", handler.description.name)
    state = Mutex(State(roster: StreamRoster(limits), stamp: FileStamp(handler.path)))
  }

  var timeLimit: Duration { .milliseconds(handler.description.timeLimitMs) }

  // MARK: - For event loops

  /// Has a request answered.
  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let now = ContinuousClock.now
    let request = StreamRequest(
      line: call.envelope() + [0x0A], deadline: now + timeLimit, promise: loop.makePromise(of: HandlerResult.self))
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
      loop.scheduleTask(in: .milliseconds(Int64(longestWait.milliseconds))) { self.giveUp(ticket) }
    case .turnedAway: request.end(.turnedAway(.queueIsFull))
    case .heldBack(let seconds): request.end(.heldBack(seconds: seconds))
    case nil: request.end(.turnedAway(.isStopping))
    }
    return request.promise.futureResult
  }

  private func giveUp(_ ticket: Int) {
    state.withLock { $0.roster.giveUp(ticket) }?.end(.turnedAway(.waitedTooLong))
  }

  /// Retires all processes when the handler's file has become another.
  private static func look(at path: String, _ state: inout State, _ now: ContinuousClock.Instant) {
    if let last = state.lastLook, now - last < lookInterval { return }
    state.lastLook = now
    let stamp = FileStamp(path)
    guard stamp != nil, stamp != state.stamp else { return }
    state.stamp = stamp
    state.roster.retireAll()
    for pipe in state.pipes.values { pipe.ring() }
  }

  private func start(_ number: Int) {
    ledger.began(handler.description.name)
    threads.start { StreamProcess.live(in: self, number) }
  }

  func standing(of handler: String) async -> Standing { state.withLock { $0.roster.standing } }

  /// Another has taken its place: each process ends with its last answer. Requests that still come to it are answered.
  func retire() {
    state.withLock { state in
      state.roster.windUp()
      for pipe in state.pipes.values { pipe.ring() }
    }
  }

  /// No process is started any more.
  func shutDown() { state.withLock { $0.isStopping = true } }

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
      state.roster.serve(number)
      Self.fill(number, &state)
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

  /// The process has written replies. False when there were more than requests.
  func answered(_ number: Int, _ replies: [Reply], errorsWereCut: Bool) -> Bool {
    let answered = state.withLock { state in
      let answered = replies.compactMap { _ in state.roster.answered(by: number) }
      Self.fill(number, &state)
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
    let (lost, away, pause, next) = state.withLock { state in
      var pipe = state.pipes.removeValue(forKey: number)
      let lost = state.roster.end(number, unbegun: pipe?.unbegun ?? 0, isFault: fault != nil, at: now)
      pipe?.close()
      for number in state.pipes.keys { Self.fill(number, &state) }
      let next = state.isStopping ? nil : state.roster.toStart(at: now)
      return (lost, next == nil ? state.roster.sendAway() : [], state.roster.pause(at: now), next)
    }
    let fault = fault ?? .ended(nil)
    for (index, given) in lost.enumerated() {
      let end = index == 0 ? fault.first : given.request.deadline <= now ? .tooSlow : fault.others
      given.request.end(end, given: given.since)
    }
    if let pause { log.error("Its processes end before they answer: none is started for \(pause.milliseconds) ms") }
    let sentAway = pause.map { HandlerResult.End.heldBack(seconds: $0.milliseconds / 1000 + 1) }
    for request in away { request.end(sentAway ?? fault.first) }
    if let next { start(next) }
  }

  private static func fill(_ number: Int, _ state: inout State) {
    let now = ContinuousClock.now
    while let request = state.roster.next(for: number, at: now) { state.pipes[number]?.send(request.line) }
  }
}
