import CProcess
import Contract
import Glibc
import Host

/// The pool of a stream process, as the thread of the process uses it.
protocol StreamProcessDelegate: Sendable {
  var handler: HostedHandler { get }
  var budgets: Budgets { get }
  var environment: [String: String] { get }
  var stop: StopSignal { get }
  var handlerLog: HandlerLog { get }
  var timeLimit: Duration { get }

  /// Called when the process has started. The pool then sends it the waiting requests.
  func started(_ process: Int, _ input: StreamInput)

  /// Returns what the thread has to wait for.
  func pending(_ process: Int) -> StreamProcess.Pending

  /// Writes as many request lines as the process takes now.
  func sendInput(_ process: Int)

  /// Called when the process has written replies. False if one of them does not belong to the request whose turn it is;
  /// then it and the replies after it are dropped.
  func replied(_ process: Int, _ replies: [Reply], stderrWasCut: Bool) -> Bool

  /// Sends no more requests to the process.
  func retire(_ process: Int)

  /// Called when the process has ended or is about to. Its requests end with the outcome of the failure. Requests that
  /// never reached it wait for another process. The failure is nil if the process has ended because it was asked to.
  func ended(_ process: Int, _ failure: StreamFailure?)
}

/// Runs a stream process on a thread of its own: starts it, reads its replies and log lines, and ends it. The process
/// and its group end at most a few seconds after they should, whatever the process does.
struct StreamProcess {
  /// What the thread has to wait for.
  struct Pending: Sendable {
    /// The descriptor to which lines wait to be written; -1 if there are none.
    let input: Int32
    let firstDeadline: ContinuousClock.Instant?
    let isBroken: Bool
    /// True if the process has nothing left to do, and its stdin has been closed.
    let isDone: Bool
  }

  /// The size of the pipe into the process, in bytes. It holds the lines of a full window.
  private static let pipeSize: Int32 = 262_144
  /// F_SETPIPE_SZ of fcntl(2), which Swift's Glibc module lacks.
  private static let setPipeSize: Int32 = 1031
  /// The time between the end of its stdin and TERM.
  private static let endTime = Duration.seconds(2)

  private let pool: any StreamProcessDelegate
  private let number: Int
  private let child: Child
  /// Becomes readable when the process has ended.
  private let exit: Int32
  /// A pipe that becomes readable when the state of this process in the pool has changed.
  private var wakeup: PipeReader
  private let wakeupWriting: Int32
  private var stdout: PipeReader
  private var stderr: PipeReader
  private var replies: StdoutLines
  private var errors: StderrLines
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  /// Starts process `number` of the pool and serves it. Returns when it has ended.
  static func run(_ number: Int, in pool: any StreamProcessDelegate) {
    do throws(Child.Failure) {
      var process = try StreamProcess(number, pool)
      process.runToEnd()
    } catch { pool.ended(number, .notStarted(reason: error.reason)) }
  }

  private init(_ number: Int, _ pool: any StreamProcessDelegate) throws(Child.Failure) {
    self.pool = pool
    self.number = number
    replies = StdoutLines(limit: pool.budgets.reply)
    errors = StderrLines(limit: pool.budgets.errors)
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw Child.Failure(call: "pipe", code: errno) }
    (wakeup, wakeupWriting) = (PipeReader(ends[0]), ends[1])
    do throws(Child.Failure) {
      child = try Child.spawn(pool.handler, ["--stream"], environment: pool.environment, pipesError: true)
    } catch {
      for end in ends { close(end) }
      throw error
    }
    exit = pidfd_open(child.pid, 0)
    (stdout, stderr) = (PipeReader(child.output), PipeReader(child.error))
    _ = fcntl(child.input, F_SETFL, O_NONBLOCK)
    _ = fcntl(child.input, Self.setPipeSize, Self.pipeSize)
  }

  private mutating func runToEnd() {
    pool.started(number, StreamInput(descriptor: child.input, wakeup: wakeupWriting))
    let failure = serve()
    var hasEnded = false
    if case .ended? = failure { hasEnded = true }
    // The requests of a process that must end get their replies before it has ended.
    if let failure, !hasEnded { pool.ended(number, failure) }
    if !hasEnded { end(failure) }
    // Until the process has been waited for, no other process group can get its number.
    child.signalGroup(SIGKILL)
    let termination = child.wait()
    if hasEnded { pool.ended(number, lastFailure(termination)) }
    if failure == nil { pool.ended(number, nil) }
    pool.handlerLog.write(errors.finish())
    stdout.close()
    stderr.close()
    wakeup.close()
    for descriptor in [exit, wakeupWriting] where descriptor >= 0 { close(descriptor) }
  }

  /// Nil if the process has nothing left to do and its stdin is closed. Otherwise why it must end or has ended.
  private mutating func serve() -> StreamFailure? {
    guard exit >= 0 else { return .notStarted(reason: "pidfd_open: \(String(cString: strerror(errno)))") }
    // A process that has closed its stdin or stdout is probably ending. The way it ends is then the better reason.
    var exitDeadline: ContinuousClock.Instant?
    while true {
      let pending = pool.pending(number)
      if pending.isDone { return nil }
      let now = ContinuousClock.now
      if exitDeadline == nil, pending.isBroken || !stdout.isOpen { exitDeadline = now + Child.exitTime }
      if let exitDeadline, exitDeadline <= now {
        return stdout.isOpen ? .stoppedReading : .badReply(reason: "it wrote no reply before it closed its stdout")
      }
      if let deadline = pending.firstDeadline, deadline <= now { return .timedOut }
      // The deadline of a request that arrives during the wait is at least one time limit away.
      let time = [pending.firstDeadline, exitDeadline].compactMap { $0.map { $0 - now } }.min() ?? pool.timeLimit
      let ready = waitUntilReady(
        [
          (pending.input, POLLOUT), (stdout.descriptor, POLLIN), (stderr.descriptor, POLLIN), (exit, POLLIN),
          (wakeup.descriptor, POLLIN), (pool.stop.descriptor, POLLIN),
        ], for: min(pool.timeLimit, time))
      let (canWrite, hasStdout, hasStderr, hasEnded) = (ready[0], ready[1], ready[2], ready[3])
      if ready[5] { return .stopped }
      if ready[4] { _ = wakeup.read(&buffer) }
      if canWrite { pool.sendInput(number) }
      if hasStderr { readErrors() }
      if hasStdout, let failure = readReplies() { return failure }
      if !stdout.isOpen { pool.retire(number) }
      if hasEnded { return drain() ?? .ended(nil) }
    }
  }

  // MARK: - Its output

  /// Reads stdout once, and passes complete replies to the pool.
  private mutating func readReplies() -> StreamFailure? {
    guard let lines = replies.add(stdout.read(&buffer)) else { return .replyTooLarge(limit: pool.budgets.reply) }
    var good: [Reply] = []
    var failure: StreamFailure?
    for line in lines {
      // A JSON line may be meant for a log. If it were taken for a reply, all later replies would shift by one.
      do throws(InvalidReply) { good.append(try Self.reply(line)) } catch {
        failure = .badReply(reason: error.reason)
        break
      }
    }
    guard !good.isEmpty else { return failure }
    let wereAccepted = pool.replied(number, good, stderrWasCut: errors.isCut)
    errors.startRequest()
    return wereAccepted
      ? failure : .badReply(reason: "the requestId of the reply does not match the first unanswered request")
  }

  private static func reply(_ line: [UInt8]) throws(InvalidReply) -> Reply {
    let reply = try Reply(reading: line, needsStatus: true)
    guard reply.requestID != nil else {
      throw InvalidReply(reason: "the reply lacks requestId, without which a stream could send it to another client")
    }
    return reply
  }

  private mutating func readErrors() { pool.handlerLog.write(errors.add(stderr.read(&buffer))) }

  // MARK: - Its end

  /// Reads the rest of the pipes after the process has ended. A child process that has left the group may hold them
  /// open and keep writing, so this reads at most as much as the largest pipe holds.
  private mutating func drain() -> StreamFailure? {
    for _ in 0..<17 where stdout.isOpen || stderr.isOpen {
      if stdout.isOpen, let failure = readReplies() { return failure }
      if stderr.isOpen { readErrors() }
    }
    return nil
  }

  /// Returns how the process ended, for the request that it was working on. A last reply that lacks only its line feed
  /// is accepted.
  private mutating func lastFailure(_ termination: Termination?) -> StreamFailure {
    let rest = replies.rest
    guard !rest.isEmpty else { return .ended(termination) }
    do throws(InvalidReply) {
      let reply = try Self.reply(rest)
      _ = pool.replied(number, [reply], stderrWasCut: errors.isCut)
      return .ended(termination)
    } catch {
      return .badReply(reason: "\(error.reason) (\(termination.map(String.init(describing:)) ?? "no exit status"))")
    }
  }

  /// Ends the process. After a failure it gets TERM at once. Otherwise it gets TERM if it does not end after its stdin
  /// has been closed.
  private mutating func end(_ failure: StreamFailure?) {
    switch failure {
    case nil, .stopped: if hasEnded(within: Self.endTime) { return }
    default: break
    }
    child.signalGroup(SIGTERM)
    _ = hasEnded(within: .milliseconds(pool.budgets.graceMs))
  }

  private mutating func hasEnded(within time: Duration) -> Bool {
    let limit = ContinuousClock.now + time
    while true {
      let left = limit - ContinuousClock.now
      guard left > .zero else { return false }
      let ready = waitUntilReady([(exit, POLLIN), (stdout.descriptor, POLLIN), (stderr.descriptor, POLLIN)], for: left)
      // Its output now belongs to no request.
      if ready[1] { _ = stdout.read(&buffer) }
      if ready[2] { readErrors() }
      if ready[0] { return true }
    }
  }
}
