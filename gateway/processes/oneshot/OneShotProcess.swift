import CProcess
import Contract
import Glibc
import Host

/// Runs a handler process for a single request, on the caller's thread, from its start to its end. When `run` returns,
/// the process and its group have ended. `run` takes at most the time limit plus the grace time, whatever the process
/// does.
///
/// If the body of the reply follows, the reply is passed on as soon as its line is complete, and the body piece by
/// piece through the request's `BodyStream`.
struct OneShotProcess {
  private let child: Child
  private let budgets: Budgets
  /// Becomes readable when the process has ended.
  private let exit: Int32
  private let stop: Int32
  private let log: HandlerLog
  private var input: Int32
  private var stdout: PipeReader
  private var stderr: PipeReader
  private var unsent: ArraySlice<UInt8>
  private var received: [UInt8] = []
  private var lines: StderrLines
  private var buffer = [UInt8](repeating: 0, count: 65_536)
  /// Takes a body that follows the reply.
  private let body: BodyStream?
  private let begin: (HandlerResult) -> Void
  private let start = ContinuousClock.now
  /// The body follows: what is read from stdout is part of it.
  private var isFollowing = false
  /// The beginning of the body that was read together with the reply.
  private var early: [UInt8] = []

  /// Starts a process for the request. Its stderr is logged line by line.
  /// - Parameter begin: gets the result before the end of the process, if a body follows.
  static func run(
    _ request: HandlerRequest, _ context: ProcessContext, begin: @escaping (HandlerResult) -> Void = { _ in }
  ) -> HandlerResult {
    let handler = request.handler
    if handler.description.bodyFollows, request.body == nil {
      return HandlerResult(outcome: .notStarted(reason: "no descriptors are left"))
    }
    let envelope = request.envelope()
    let start = ContinuousClock.now
    let child: Child
    do throws(Child.Failure) {
      let environment = handler.environment(from: context.environment)
      child = try Child.spawn(handler, environment: environment, pipesError: true)
    } catch { return HandlerResult(outcome: .notStarted(reason: error.reason)) }
    let running = ContinuousClock.now
    var process = OneShotProcess(
      child, envelope, context.budgets.of(handler), stop: context.stop.descriptor,
      log: HandlerLog(handler, context.log), body: request.body, begin: begin)
    let outcome = process.runToEnd(deadline: start + .milliseconds(handler.description.timeLimitMs))
    return HandlerResult(
      outcome: outcome, output: process.received,
      timing: RequestTiming(start: running - start, run: ContinuousClock.now - running),
      stderrWasCut: process.lines.isCut)
  }

  private init(
    _ child: Child, _ envelope: [UInt8], _ budgets: Budgets, stop: Int32, log: HandlerLog, body: BodyStream?,
    begin: @escaping (HandlerResult) -> Void
  ) {
    self.child = child
    self.body = body
    self.begin = begin
    self.budgets = budgets
    lines = StderrLines(limit: budgets.errors)
    self.stop = stop
    self.log = log
    exit = pidfd_open(child.pid, 0)
    input = child.input
    // This sets only the gateway's end. The other end of the pipe has flags of its own.
    _ = fcntl(input, F_SETFL, O_NONBLOCK)
    (stdout, stderr) = (PipeReader(child.output), PipeReader(child.error))
    unsent = envelope[...]
  }

  /// Serves the process until it ends, kills the rest of its group, waits for it, and closes all descriptors.
  private mutating func runToEnd(deadline: ContinuousClock.Instant) -> HandlerOutcome {
    let failure = serve(until: deadline)
    // Until the process has been waited for, no other process group can get its number.
    child.signalGroup(SIGKILL)
    let termination = child.wait()
    if failure == nil { drain() }
    log.write(lines.finish())
    stdout.close()
    stderr.close()
    for descriptor in [input, exit] where descriptor >= 0 { close(descriptor) }
    if isFollowing {
      let end = BodyEnd(failure, termination)
      body?.end(end)
      return .followed(end)
    }
    return failure ?? (isTooLarge ? .replyTooLarge(limit: budgets.reply) : .ended(termination))
  }

  private var isTooLarge: Bool { received.count > budgets.reply }

  /// Nil if the process has ended on its own or has closed its stdout. Otherwise the reason to end it now.
  private mutating func serve(until limit: ContinuousClock.Instant) -> HandlerOutcome? {
    guard exit >= 0 else { return .notStarted(reason: "pidfd_open: \(String(cString: strerror(errno)))") }
    var deadline = limit
    var isOverdue = false
    var hasExited = false
    while true {
      let left = deadline - ContinuousClock.now
      guard left > .zero else {
        if isOverdue { return .timedOut }
        // A process that has closed its stdout has replied, even if it does not end.
        if !stdout.isOpen { return nil }
        child.signalGroup(SIGTERM)
        isOverdue = true
        deadline += .milliseconds(budgets.graceMs)
        continue
      }
      let ready = waitUntilReady(
        [
          (input, POLLOUT), (mayRead ? stdout.descriptor : -1, POLLIN), (stderr.descriptor, POLLIN),
          (hasExited ? -1 : exit, POLLIN), (stop, POLLIN), (body?.descriptor ?? -1, POLLIN),
        ], for: left)
      if ready[5] { body?.clearWaking() }
      if body?.isCancelled == true { return .unwanted }
      if !early.isEmpty, let body, body.isWanted {
        body.send(early)
        early = []
        continue
      }
      let (canWrite, hasStdout, hasStderr, hasEnded, mustStop) = (ready[0], ready[1], ready[2], ready[3], ready[4])
      if mustStop { return .stopped }
      if canWrite { sendInput() }
      let wasOpen = stdout.isOpen
      if hasStdout { readOutput() }
      if hasStderr { log.write(lines.add(stderr.read(&buffer))) }
      if isTooLarge { return .replyTooLarge(limit: budgets.reply) }
      if hasEnded {
        if isOverdue { return .timedOut }
        // The client may not have asked for the rest of the body yet.
        guard isFollowing, stdout.isOpen || !early.isEmpty else { return nil }
        hasExited = true
      }
      if hasExited, !stdout.isOpen, early.isEmpty { return nil }
      if wasOpen, !stdout.isOpen, early.isEmpty, !isOverdue {
        deadline = min(deadline, ContinuousClock.now + Child.exitTime)
      }
    }
  }

  /// False while the client has not taken the last piece of a body.
  private var mayRead: Bool { !isFollowing || early.isEmpty && body?.isWanted == true }

  /// Reads the reply, or a piece of the body that follows it.
  private mutating func readOutput() {
    let bytes = stdout.read(&buffer)
    guard let body else { return received += bytes }
    if isFollowing {
      if !bytes.isEmpty { body.send(Array(bytes)) }
      return
    }
    received += bytes
    guard let end = received.firstIndex(of: 0x0A), let reply = try? Reply(reading: Array(received[..<end])),
      reply.bodyFollows
    else { return }
    isFollowing = true
    early = Array(received[(end + 1)...])
    received = []
    begin(
      HandlerResult(
        outcome: .replied(reply), timing: RequestTiming(run: ContinuousClock.now - start), bodyFollows: true))
  }

  /// Writes as much as the process's stdin takes now. If the process has closed its stdin, the rest is dropped.
  private mutating func sendInput() {
    let count = unsent.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
    if count > 0 { unsent = unsent.dropFirst(count) }
    if unsent.isEmpty || (count < 0 && errno != EAGAIN && errno != EINTR) {
      close(input)
      input = -1
    }
  }

  /// Reads the rest of the pipes after the process has ended. A child process that has left the group may hold them
  /// open and keep writing, so this reads at most as much as the largest pipe holds.
  private mutating func drain() {
    for _ in 0..<17 where stdout.isOpen || stderr.isOpen {
      if stdout.isOpen { received += stdout.read(&buffer) }
      if stderr.isOpen { log.write(lines.add(stderr.read(&buffer))) }
    }
  }
}
