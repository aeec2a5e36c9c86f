import Contract
import Glibc
import Host
import NIOCore
import Synchronization
import Wire

/// A request for a stream process.
struct StreamRequest: Sendable {
  let id: String
  /// The envelope and a line feed.
  let line: [UInt8]
  let arrival = ContinuousClock.now
  let deadline: ContinuousClock.Instant
  let promise: EventLoopPromise<HandlerResult>

  /// Completes the request with an outcome.
  /// - Parameter assigned: when a process got the request; nil if none did.
  func end(_ outcome: HandlerOutcome, assigned: ContinuousClock.Instant? = nil, stderrWasCut: Bool = false) {
    let now = ContinuousClock.now
    promise.succeed(
      HandlerResult(
        outcome: outcome, timing: RequestTiming(queue: (assigned ?? now) - arrival, run: now - (assigned ?? now)),
        stderrWasCut: stderrWasCut))
  }
}

/// The stream processes of one handler: the scheduler and the stdin of each process. All event loops and the threads of
/// the processes share it. No event loop blocks: it writes as much of a line as the pipe takes, and the thread of the
/// process writes the rest.
final class StreamPool: HandlerProcesses, StreamProcessDelegate {
  fileprivate struct State: Sendable {
    var scheduler: StreamScheduler<StreamRequest>
    var inputs: [Int: StreamInput] = [:]
    var isStopping = false
    var version: FileVersion?
    var lastCheck: ContinuousClock.Instant?
  }

  /// How often the pool checks whether the handler's file has changed.
  private static let checkInterval = Duration.seconds(1)

  let handler: HostedHandler
  let budgets: Budgets
  let environment: [String: String]
  let stop: StopSignal
  let handlerLog: HandlerLog
  private let longestWait: Duration
  private let threads: ProcessThreads
  private let statistics: ProcessStatistics
  private let log: Log
  private let state: Mutex<State>

  init(_ handler: HostedHandler, limits: StreamLimits, context: ProcessContext, threads: ProcessThreads) {
    self.handler = handler
    budgets = context.budgets.of(handler)
    environment = handler.environment(from: context.environment, lasts: true)
    stop = context.stop
    handlerLog = HandlerLog(handler, context.log)
    longestWait = limits.longestWait
    self.threads = threads
    statistics = context.statistics
    log = context.log.with("handler", handler.description.name)
    state = Mutex(State(scheduler: StreamScheduler(limits), version: FileVersion(handler.path)))
  }

  var timeLimit: Duration { .milliseconds(handler.description.timeLimitMs) }

  func status(of handler: String) async -> ProcessStatus { state.withLock { $0.scheduler.status } }

  // MARK: - For event loops

  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let now = ContinuousClock.now
    // Under overload most requests are refused, so this happens before their envelope is created.
    if state.withLock({ $0.scheduler.isFull(at: now) }) {
      return loop.makeSucceededFuture(HandlerResult(outcome: .refused(.queueIsFull)))
    }
    let request = handler.isOurs ? request : request.withUniqueID
    return run(request.message.requestID, request.envelope(), at: now, on: loop)
  }

  /// Sends a body to a step as a request of the gateway itself.
  func send(_ body: JSON, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let name = handler.description.name
    var request = Request(
      method: "POST", path: "/" + name, requestID: UUIDText.ordered().text, receivedAt: Instant.now)
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
    let (placement, process) = state.withLock { state in
      if state.isStopping { return (nil as StreamScheduler<StreamRequest>.Placement?, nil as Int?) }
      Self.checkFile(handler.path, &state, now)
      let placement = state.scheduler.arrive(request, at: now)
      if case .assigned(let process) = placement { state.inputs[process]?.send(request.line) }
      return (placement, state.scheduler.processToStart(at: now))
    }
    if let process { start(process) }
    switch placement {
    case .assigned: break
    case .queued(let number): limitWait(of: number, on: loop)
    case .refused: request.end(.refused(.queueIsFull))
    case .backingOff(let seconds): request.end(.backingOff(seconds: seconds))
    case nil: request.end(.refused(.isStopping))
    }
    return request.promise.futureResult
  }

  /// Refuses the request when it has waited too long.
  private func limitWait(of number: Int, on loop: any EventLoop) {
    loop.scheduleTask(in: .milliseconds(Int64(longestWait.milliseconds))) { [self] in
      state.withLock { $0.scheduler.giveUp(number, at: .now) }?.end(.refused(.waitedTooLong))
    }
  }

  /// Retires all processes if the handler's file has been replaced.
  private static func checkFile(_ path: String, _ state: inout State, _ now: ContinuousClock.Instant) {
    if let last = state.lastCheck, now - last < checkInterval { return }
    state.lastCheck = now
    let version = FileVersion(path)
    guard version != nil, version != state.version else { return }
    state.version = version
    state.retireAll()
  }

  private func start(_ process: Int) {
    statistics.started(handler.description.name)
    guard !threads.start({ StreamProcess.run(process, in: self) }) else { return }
    ended(process, .notStarted(reason: "no more threads can be started"))
  }

  /// Retires the current processes. A later request gets a new process.
  func retireProcesses() { state.withLock { $0.retireAll() } }

  /// Retires a pool that another one has replaced. Each process ends when it has no requests. Requests that still
  /// arrive are served.
  func retire() {
    state.withLock { state in
      state.scheduler.drain()
      for input in state.inputs.values { input.wake() }
    }
  }

  /// Prevents further processes from being started.
  func stopStarting() { state.withLock { $0.isStopping = true } }

  // MARK: - For the threads of the processes

  func started(_ process: Int, _ input: StreamInput) {
    state.withLock { state in
      state.inputs[process] = input
      state.scheduler.started(process, at: .now)
      state.sendWaiting(to: process)
    }
  }

  func pending(_ process: Int) -> StreamProcess.Pending {
    state.withLock { state in
      if state.inputs[process]?.isBroken == true { state.scheduler.retire(process) }
      let isDone = state.scheduler.isDone(process, at: .now)
      if isDone { state.inputs[process]?.close() }
      return StreamProcess.Pending(
        input: state.inputs[process]?.pollDescriptor ?? -1,
        firstDeadline: state.scheduler.first(of: process)?.deadline,
        isBroken: state.inputs[process]?.isBroken == true, isDone: isDone)
    }
  }

  func retire(_ process: Int) { state.withLock { $0.scheduler.retire(process) } }

  func sendInput(_ process: Int) { state.withLock { $0.inputs[process]?.flush() } }

  func replied(_ process: Int, _ replies: [Reply], stderrWasCut: Bool) -> Bool {
    let answered = state.withLock { state in
      var answered: [StreamScheduler<StreamRequest>.Assignment] = []
      for reply in replies {
        guard let first = state.scheduler.first(of: process), first.id == reply.requestID,
          let assignment = state.scheduler.replied(process)
        else { break }
        answered.append(assignment)
      }
      state.sendWaiting(to: process)
      return answered
    }
    for (assignment, reply) in zip(answered, replies) {
      assignment.request.end(.replied(reply), assigned: assignment.since, stderrWasCut: stderrWasCut)
    }
    return answered.count == replies.count
  }

  func ended(_ process: Int, _ failure: StreamFailure?) {
    let now = ContinuousClock.now
    statistics.ended(handler.description.name, failure?.processEnd ?? .normal)
    let ended = state.withLock { state in state.ended(process, isFailure: failure != nil, at: now) }
    let known = failure ?? .ended(nil)
    for (index, assignment) in ended.lost.enumerated() {
      let isOverdue = index > 0 && assignment.request.deadline <= now
      let outcome = isOverdue ? .timedOut : index == 0 ? known.outcomeOfFirst : known.outcomeOfOthers
      assignment.request.end(outcome, assigned: assignment.since)
    }
    for (number, request) in ended.requeued { limitWait(of: number, on: request.promise.futureResult.eventLoop) }
    if let failure, failure.processEnd != .normal, ended.lost.isEmpty, ended.pause == nil {
      log.warn("A process ended unexpectedly while no request waited for it", ["reason": failure.reason])
    }
    if let pause = ended.newPause {
      log.error("The handler's processes end before they reply: none is started for \(pause.milliseconds) ms")
    }
    let backingOff = ended.pause.map { HandlerOutcome.backingOff(seconds: $0.milliseconds / 1000 + 1) }
    for request in ended.refused { request.end(backingOff ?? known.outcomeOfFirst) }
    if let replacement = ended.replacement { start(replacement) }
  }
}

extension StreamPool.State {
  /// The consequences of the end of a process.
  struct EndResult: Sendable {
    var lost: [StreamScheduler<StreamRequest>.Assignment]
    var requeued: [(number: Int, request: StreamRequest)]
    /// The waiting requests that no process will take.
    var refused: [StreamRequest]
    var pause: Duration?
    /// The pause, if it begins with this end.
    var newPause: Duration?
    /// The process to start in its place.
    var replacement: Int?
  }

  mutating func ended(_ process: Int, isFailure: Bool, at now: ContinuousClock.Instant) -> EndResult {
    let wasPausing = scheduler.pause(at: now) != nil || isStopping
    var input = inputs.removeValue(forKey: process)
    let (lost, requeued) = scheduler.ended(
      process, unsent: input?.unsentLines ?? 0, isFailure: isFailure && !isStopping, at: now)
    input?.close()
    for process in inputs.keys { sendWaiting(to: process) }
    let replacement = isStopping ? nil : scheduler.processToStart(at: now)
    let pause = scheduler.pause(at: now)
    return EndResult(
      lost: lost, requeued: requeued, refused: replacement == nil ? scheduler.refuseWaiting(at: now) : [],
      pause: pause, newPause: wasPausing ? nil : pause, replacement: replacement)
  }

  mutating func retireAll() {
    scheduler.retireAll()
    for input in inputs.values { input.wake() }
  }

  /// Sends waiting requests to the process until its window is full.
  mutating func sendWaiting(to process: Int) {
    let now = ContinuousClock.now
    while let request = scheduler.next(for: process, at: now) { inputs[process]?.send(request.line) }
  }
}
