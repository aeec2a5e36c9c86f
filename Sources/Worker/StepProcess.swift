import Contract
import Glibc
import Host
import Wire

/// How a step that still held lines ended.
package enum StepEnd: Sendable {
  /// Its process has ended, and all of its output has been read. It was working on the first of its lines and had not
  /// begun any other.
  case died
  /// Its output could not be parsed, so the state of its lines is unknown.
  case confused
  /// Its process could not be started.
  case notStarted
}

/// A step that runs as a stream: it writes one line for each line that it reads. It is started when it is first needed,
/// and again after it has ended. Nothing here blocks, except waiting for the process to end.
final class StepProcess {
  private let handler: HostedHandler
  private let environment: [String: String]
  private var child: Child?
  private var unsent: [UInt8] = []
  private var received: [UInt8] = []
  private var buffer = [UInt8](repeating: 0, count: 65_536)
  private(set) var lastUsed = Instant.steady
  private var startedAt = Instant.steady

  /// The maximum length of a reply line in bytes. It fits the largest claim.
  private static let replyLimit = 64 * 1024 * 1024

  init(_ handler: HostedHandler, settings: [String: String]) {
    self.handler = handler
    environment = handler.environment(from: settings)
  }

  deinit { stop() }

  /// The descriptors for poll(2): the step's output, and its input while lines are unsent.
  var interests: [pollfd] {
    guard let child else { return [] }
    let output = pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)
    return unsent.isEmpty ? [output] : [output, pollfd(fd: child.input, events: Int16(POLLOUT), revents: 0)]
  }

  /// Sends lines to the step, and starts it if needed. Writes as much as its input takes now, and the rest later.
  func send(_ lines: [JSON]) throws(Child.Failure) {
    lastUsed = .steady
    if child == nil {
      let child = try Child.spawn(handler, ["--stream"], environment: environment, pipesError: false)
      _ = fcntl(child.input, F_SETFL, O_NONBLOCK)
      self.child = child
      startedAt = .steady
    }
    for line in lines {
      unsent += line.bytes
      unsent.append(0x0A)
    }
    feed()
  }

  /// The lines that a step has written and, if it has ended, how.
  struct Output {
    var lines: [JSON] = []
    var end: (kind: StepEnd, reason: String)?
  }

  /// Reads and writes what poll(2) found ready.
  func proceed(_ ready: [pollfd]) -> Output {
    guard let child else { return Output() }
    if ready.contains(where: { $0.fd == child.input }) { feed() }
    return ready.contains { $0.fd == child.output } ? read(child) : Output()
  }

  /// Kills a step that hangs. The replies that it had written before are returned.
  func abandon(_ reason: String) -> Output {
    guard let child else { return Output(end: (.died, reason)) }
    child.signalGroup(SIGKILL)
    child.awaitEnd()
    _ = fcntl(child.output, F_SETFL, O_NONBLOCK)
    var output = Output()
    repeat {
      let more = read(child)
      output.lines += more.lines
      output.end = more.end
    } while output.end == nil
    if output.end?.kind == .died { output.end?.reason = reason }
    return output
  }

  /// Writes as much as the step's input takes. If the input is closed, the step is ending; its output reports that.
  private func feed() {
    guard let child, !unsent.isEmpty else { return }
    let count = unsent.withUnsafeBytes { write(child.input, $0.baseAddress, $0.count) }
    if count > 0 {
      unsent.removeFirst(count)
    } else if errno != EINTR, errno != EAGAIN {
      unsent = []
    }
  }

  private func read(_ child: Child) -> Output {
    let count = buffer.withUnsafeMutableBytes { Glibc.read(child.output, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { return Output() }
    guard count > 0 else {
      let end = stop()
      return Output(end: (.died, end?.description ?? "the step closed its output"))
    }
    lastUsed = .steady
    let searched = received.count
    received += buffer[..<count]
    guard let last = received[searched...].lastIndex(of: 0x0A) else {
      if received.count <= Self.replyLimit { return Output() }
      stop()
      return Output(end: (.confused, "the step wrote a line that is too long"))
    }
    var output = Output()
    for line in received[..<last].split(separator: 0x0A) {
      guard let json = try? JSON(readingReply: Array(line)) else {
        stop()
        output.end = (.confused, "the step wrote a line that is not JSON")
        return output
      }
      output.lines.append(json)
    }
    received.removeSubrange(...last)
    return output
  }

  /// Ends a step that has been idle for `seconds` or is ten minutes old. What it read at its start, such as host names
  /// and certificates, may have changed since. The caller must check that the step holds nothing.
  func endIfIdle(after seconds: Int, now: Instant) {
    if lastUsed.adding(seconds: seconds) <= now || startedAt.adding(seconds: 600) <= now { stop() }
  }

  /// Ends the step: closes its input, which asks it to end, and kills its process group if it still runs after 0.1 s.
  @discardableResult
  func stop() -> Termination? {
    guard let child else { return nil }
    self.child = nil
    (unsent, received) = ([], [])
    close(child.input)
    close(child.output)
    for _ in 0..<50 {
      if let end = child.poll() { return end }
      usleep(2000)
    }
    child.signalGroup(SIGKILL)
    return child.wait()
  }
}
