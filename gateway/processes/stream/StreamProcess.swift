import CProcess
import Glibc
import Handler
import Host

/// The life of one stream process, on a thread of its own: start, reading of replies and log lines, end. Whatever the
/// process does, it and its group are gone some seconds after they should be.
struct StreamProcess {
  /// The pipe into the process holds the lines of a full window.
  private static let pipeSize: Int32 = 262_144
  /// F_SETPIPE_SZ of fcntl(2), which glibc's overlay leaves out.
  private static let setPipeSize: Int32 = 1031
  /// Between the end of its stdin and TERM.
  private static let patience = Duration.seconds(2)

  private let pool: StreamPool
  private let number: Int
  private let child: Child
  /// Becomes readable when the process has ended.
  private let ending: Int32
  /// Rung when the outlook has changed.
  private let bell: Int32
  private let bellRope: Int32
  private var output: Int32
  private var error: Int32
  private var replies: ReplyLines
  private var errors: ErrorLines
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  /// Starts process `number` of the pool, serves, and returns when the process is gone.
  static func live(in pool: StreamPool, _ number: Int) {
    do throws(Child.Failure) {
      var process = try StreamProcess(pool, number)
      process.serveToTheEnd()
    } catch { pool.ended(number, .notStarted(reason: error.reason)) }
  }

  private init(_ pool: StreamPool, _ number: Int) throws(Child.Failure) {
    self.pool = pool
    self.number = number
    replies = ReplyLines(limit: pool.budgets.of(pool.handler).reply)
    errors = ErrorLines(limit: pool.budgets.errors)
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw Child.Failure(call: "pipe", code: errno) }
    (bell, bellRope) = (ends[0], ends[1])
    do throws(Child.Failure) {
      child = try Child.spawn(pool.handler, ["--stream"], environment: pool.environment, pipesError: true)
    } catch {
      close(bell)
      close(bellRope)
      throw error
    }
    ending = pidfd_open(child.pid, 0)
    (output, error) = (child.output, child.error)
    for descriptor in [child.input, output, error] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
    _ = fcntl(child.input, Self.setPipeSize, Self.pipeSize)
  }

  private mutating func serveToTheEnd() {
    pool.opened(number, StreamPipe(input: child.input, bell: bellRope))
    let fault = serve()
    var hasEnded = false
    if case .ended? = fault { hasEnded = true }
    // Nobody waits for what cannot come any more.
    if let fault, !hasEnded { pool.ended(number, fault) }
    if !hasEnded { askToEnd(fault) }
    // While the process has not been waited for, its number is its group's and nobody else's.
    child.signalGroup(SIGKILL)
    let termination = child.wait()
    if hasEnded { pool.ended(number, lastFault(termination)) }
    if fault == nil { pool.ended(number, nil) }
    pool.handlerLog.pass(on: errors.finish())
    for descriptor in [output, error, ending, bell, bellRope] where descriptor >= 0 { close(descriptor) }
  }

  /// Nil when it has nothing left to do and its stdin is closed; otherwise why it must end, or has ended.
  private mutating func serve() -> StreamFault? {
    guard ending >= 0 else { return .notStarted(reason: "pidfd_open: \(String(cString: strerror(errno)))") }
    // One that has closed its stdin or stdout is probably ending, and how it ends says more.
    var farewell: ContinuousClock.Instant?
    while true {
      let outlook = pool.outlook(number)
      if outlook.isDone { return nil }
      let now = ContinuousClock.now
      if farewell == nil, outlook.isBroken || output < 0 { farewell = now + HandlerRun.farewell }
      if let farewell, farewell <= now {
        return output < 0 ? .badReply(reason: "it wrote no reply and closed its stdout") : .stoppedReading
      }
      if let deadline = outlook.firstDeadline, deadline <= now { return .tooSlow }
      // What comes while this thread sleeps has a deadline that is at least a time limit away.
      let ready = wait(
        min(pool.timeLimit, (outlook.firstDeadline ?? .distant) - now, (farewell ?? .distant) - now), outlook.input)
      if ready.stop { return .stopped }
      if ready.bell { _ = buffer.withUnsafeMutableBytes { read(bell, $0.baseAddress, $0.count) } }
      if ready.input { pool.feed(number) }
      if ready.error { takeErrors() }
      if ready.output, let fault = takeReplies() { return fault }
      if output < 0 { pool.retire(number) }
      if ready.ending { return drain() ?? .ended(nil) }
    }
  }

  private typealias Ready = (input: Bool, output: Bool, error: Bool, ending: Bool, bell: Bool, stop: Bool)

  private func wait(_ time: Duration, _ input: Int32) -> Ready {
    // poll(2) passes over a descriptor that is negative.
    var entries = [
      pollfd(fd: input, events: Int16(POLLOUT), revents: 0), pollfd(fd: output, events: Int16(POLLIN), revents: 0),
      pollfd(fd: error, events: Int16(POLLIN), revents: 0), pollfd(fd: ending, events: Int16(POLLIN), revents: 0),
      pollfd(fd: bell, events: Int16(POLLIN), revents: 0),
      pollfd(fd: pool.stop.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&entries, 6, Int32(time.milliseconds + 1)) > 0 else { return (false, false, false, false, false, false) }
    let ready = entries.map { $0.revents != 0 }
    return (ready[0], ready[1], ready[2], ready[3], ready[4], ready[5])
  }

  // MARK: - What it writes

  /// Reads once, and hands on the replies that are whole.
  private mutating func takeReplies() -> StreamFault? {
    let count = buffer.withUnsafeMutableBytes { read(output, $0.baseAddress, $0.count) }
    guard count > 0 else {
      if count == 0 || errno != EAGAIN && errno != EINTR {
        close(output)
        output = -1
      }
      return nil
    }
    guard let lines = replies.add(buffer[..<count]) else {
      return .tooMuchOutput(limit: pool.budgets.of(pool.handler).reply)
    }
    return answer(with: lines)
  }

  private mutating func answer(with lines: [[UInt8]]) -> StreamFault? {
    var good: [Reply] = []
    var fault: StreamFault?
    for line in lines {
      // A line that is only JSON may be meant for a log: taken for a reply, it would put all others off by one.
      do throws(Problem) { good.append(try Self.reply(line)) } catch {
        fault = .badReply(reason: error.detail)
        break
      }
    }
    guard !good.isEmpty else { return fault }
    let wereAsked = pool.answered(number, good, errorsWereCut: errors.isCut)
    errors.renew()
    return wereAsked
      ? fault : .badReply(reason: "the reply's requestId is not that of the request whose turn it was")
  }

  private static func reply(_ line: [UInt8]) throws(Problem) -> Reply {
    let reply = try Reply(reading: line, needsStatus: true)
    guard reply.requestID != nil else {
      throw Problem(.badGateway, "the reply lacks requestId, without which a stream could answer somebody else")
    }
    return reply
  }

  private mutating func takeErrors() {
    let count = buffer.withUnsafeMutableBytes { read(error, $0.baseAddress, $0.count) }
    if count > 0 { pool.handlerLog.pass(on: errors.add(buffer[..<count])) }
    guard count == 0 || count < 0 && errno != EAGAIN && errno != EINTR else { return }
    close(error)
    error = -1
  }

  // MARK: - Its end

  /// Takes what lies in the pipes of a process that has ended. Somebody who has left its group may hold them open and go on
  /// writing, so at most what the largest pipe holds.
  private mutating func drain() -> StreamFault? {
    for _ in 0..<17 where output >= 0 || error >= 0 {
      if output >= 0, let fault = takeReplies() { return fault }
      if error >= 0 { takeErrors() }
    }
    return nil
  }

  /// How it ended, for the request that it was at: where a last reply lacks only its line feed, that is the answer.
  private mutating func lastFault(_ termination: Termination?) -> StreamFault {
    let rest = replies.rest
    guard !rest.isEmpty else { return .ended(termination) }
    do throws(Problem) {
      let reply = try Self.reply(rest)
      _ = pool.answered(number, [reply], errorsWereCut: errors.isCut)
      return .ended(termination)
    } catch {
      return .badReply(reason: "\(error.detail) (\(termination.map(String.init(describing:)) ?? "no exit status"))")
    }
  }

  /// Waits for its end as long as it may take; one that has done what it should needs only the end of its stdin.
  private mutating func askToEnd(_ fault: StreamFault?) {
    switch fault {
    case nil, .stopped: if hasEnded(within: Self.patience) { return }
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
      var entries = [
        pollfd(fd: ending, events: Int16(POLLIN), revents: 0), pollfd(fd: output, events: Int16(POLLIN), revents: 0),
        pollfd(fd: error, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&entries, 3, Int32(left.milliseconds + 1)) > 0 else { continue }
      if entries[1].revents != 0 { dropOutput() }
      if entries[2].revents != 0 { takeErrors() }
      if entries[0].revents != 0 { return true }
    }
  }

  /// What it writes now answers nobody.
  private mutating func dropOutput() {
    let count = buffer.withUnsafeMutableBytes { read(output, $0.baseAddress, $0.count) }
    guard count == 0 || count < 0 && errno != EAGAIN && errno != EINTR else { return }
    close(output)
    output = -1
  }
}

extension ContinuousClock.Instant {
  /// Later than anything here.
  fileprivate static var distant: Self { .now + .seconds(86_400) }
}
