import CProcess
import Glibc
import Handler
import Host

/// The life of one handler process, on the thread that called: start, feed, drain, end, wait. Whatever the process does, it
/// and its group are gone when this returns, at the latest a grace after its time limit.
struct HandlerRun {
  /// For a process that has closed its stdout, and so has answered, to end.
  static let farewell = Duration.seconds(1)

  private let child: Child
  private let budgets: Budgets
  /// Becomes readable when the process has ended.
  private let ending: Int32
  private let stop: Int32
  private let log: HandlerLog
  private var input: Int32
  private var output: Int32
  private var error: Int32
  private var unsent: ArraySlice<UInt8>
  private var received: [UInt8] = []
  private var lines: ErrorLines
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  /// Runs `handler`, or the process of it that already waits, for one request. Its stderr goes to ours, line by line.
  static func perform(
    _ handler: HostedHandler, environment: [String: String], spare: Child? = nil, envelope: [UInt8],
    budgets: Budgets, stop: StopSignal, log: Log
  ) -> HandlerResult {
    let start = ContinuousClock.now
    let child: Child
    do throws(Child.Failure) {
      child = if let spare { spare } else { try Child.spawn(handler, environment: environment, pipesError: true) }
    } catch { return HandlerResult(end: .notStarted(reason: error.reason)) }
    let started = ContinuousClock.now
    var run = HandlerRun(child, envelope, budgets.of(handler), stop: stop.descriptor, log: HandlerLog(handler, log))
    let end = run.untilEnd(deadline: start + .milliseconds(handler.description.timeLimitMs))
    return HandlerResult(
      end: end, output: run.received, times: Times(start: started - start, run: ContinuousClock.now - started),
      errorsWereCut: run.lines.isCut)
  }

  private init(_ child: Child, _ envelope: [UInt8], _ budgets: Budgets, stop: Int32, log: HandlerLog) {
    self.child = child
    self.budgets = budgets
    lines = ErrorLines(limit: budgets.errors)
    self.stop = stop
    self.log = log
    ending = pidfd_open(child.pid, 0)
    (input, output, error) = (child.input, child.output, child.error)
    unsent = envelope[...]
    // Ours only: the other end of a pipe has flags of its own.
    for descriptor in [input, output, error] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
  }

  /// Follows the process to its end, kills what is left of its group, waits for it, and closes everything.
  private mutating func untilEnd(deadline: ContinuousClock.Instant) -> HandlerResult.End {
    let verdict = follow(until: deadline)
    // While the process has not been waited for, its number is its group's and nobody else's.
    child.signalGroup(SIGKILL)
    let termination = child.wait()
    if verdict == nil { drain() }
    log.pass(on: lines.finish())
    for descriptor in [input, output, error, ending] where descriptor >= 0 { close(descriptor) }
    return verdict ?? (isTooMuch ? .tooMuchOutput(limit: budgets.reply) : .ended(termination))
  }

  private var isTooMuch: Bool { received.count > budgets.reply }

  /// Nil when the process has ended by itself or has answered; otherwise why it must be ended now.
  private mutating func follow(until limit: ContinuousClock.Instant) -> HandlerResult.End? {
    guard ending >= 0 else { return .notStarted(reason: "pidfd_open: \(String(cString: strerror(errno)))") }
    var deadline = limit
    var isOverdue = false
    while true {
      let left = deadline - ContinuousClock.now
      guard left > .zero else {
        if isOverdue { return .tooSlow }
        // One that has closed its stdout has answered, however long it lingers.
        if output < 0 { return nil }
        child.signalGroup(SIGTERM)
        isOverdue = true
        deadline += .milliseconds(budgets.graceMs)
        continue
      }
      let ready = wait(left)
      if ready.stop { return .stopped }
      if ready.input { feed() }
      let wasOpen = output >= 0
      if ready.output { output = read(output) { run, bytes in run.received += bytes } }
      if ready.error { error = read(error) { run, bytes in run.takeLines(bytes) } }
      if isTooMuch { return .tooMuchOutput(limit: budgets.reply) }
      if ready.ending { return isOverdue ? .tooSlow : nil }
      if wasOpen, output < 0, !isOverdue { deadline = min(deadline, ContinuousClock.now + Self.farewell) }
    }
  }

  private func wait(_ time: Duration) -> (input: Bool, output: Bool, error: Bool, ending: Bool, stop: Bool) {
    // poll(2) passes over a descriptor that is negative.
    var entries = [
      pollfd(fd: input, events: Int16(POLLOUT), revents: 0), pollfd(fd: output, events: Int16(POLLIN), revents: 0),
      pollfd(fd: error, events: Int16(POLLIN), revents: 0), pollfd(fd: ending, events: Int16(POLLIN), revents: 0),
      pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&entries, 5, Int32(time.milliseconds + 1)) > 0 else { return (false, false, false, false, false) }
    let ready = entries.map { $0.revents != 0 }
    return (ready[0], ready[1], ready[2], ready[3], ready[4])
  }

  /// Writes what its stdin takes now. One that has closed its stdin wants no more.
  private mutating func feed() {
    let count = unsent.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
    if count > 0 { unsent = unsent.dropFirst(count) }
    if unsent.isEmpty || (count < 0 && errno != EAGAIN && errno != EINTR) {
      close(input)
      input = -1
    }
  }

  /// Reads once; the descriptor, or -1 when it was at its end and has been closed.
  private mutating func read(_ descriptor: Int32, _ take: (inout Self, ArraySlice<UInt8>) -> Void) -> Int32 {
    let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
    if count > 0 { take(&self, buffer[..<count]) }
    if count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)) { return descriptor }
    close(descriptor)
    return -1
  }

  /// Takes what lies in the pipes after the end. Somebody who has left the group may hold them open and go on writing, so
  /// at most what the largest pipe holds.
  private mutating func drain() {
    for _ in 0..<17 where output >= 0 || error >= 0 {
      if output >= 0 { output = read(output) { run, bytes in run.received += bytes } }
      if error >= 0 { error = read(error) { run, bytes in run.takeLines(bytes) } }
    }
  }

  private mutating func takeLines(_ bytes: ArraySlice<UInt8>) { log.pass(on: lines.add(bytes)) }
}

extension Duration {
  /// Whole milliseconds, rounded down.
  var milliseconds: Int { Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000) }
}
