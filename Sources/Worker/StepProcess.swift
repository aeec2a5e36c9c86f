import Contract
import Glibc
import Host
import Wire

/// How a step ended that still held lines.
package enum StepEnd: Sendable {
  /// Its process is gone, and all that it said has been heard: it was at the first of its lines, and at no other.
  case died
  /// It said what cannot be understood: what it did with its lines is anybody's guess.
  case confused
  /// There was no process to give them to.
  case notStarted
}

/// A step kept running as a stream: for each line in, one line out. It is started when it is first needed, and again after
/// it ended. Nothing here waits, but for the end of the process.
final class StepProcess {
  private let handler: HostedHandler
  private let environment: [String: String]
  private var child: Child?
  private var unsent: [UInt8] = []
  private var received: [UInt8] = []
  private var buffer = [UInt8](repeating: 0, count: 65_536)
  private(set) var lastUsed = Instant.now
  private var startedAt = Instant.now

  /// The largest reply line: a whole claim of the largest size.
  private static let replyLimit = 64 * 1024 * 1024

  init(_ handler: HostedHandler, settings: [String: String]) {
    self.handler = handler
    environment = handler.environment(from: settings)
  }

  deinit { stop() }

  /// What poll(2) is to look for: that the step says something, and that it takes what it has not been given yet.
  var interests: [pollfd] {
    guard let child else { return [] }
    let output = pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)
    return unsent.isEmpty ? [output] : [output, pollfd(fd: child.input, events: Int16(POLLOUT), revents: 0)]
  }

  /// Gives lines to the step: as much as it takes now, the rest when it is ready for more.
  func send(_ lines: [JSON]) throws(Child.Failure) {
    lastUsed = .now
    if child == nil {
      let child = try Child.spawn(handler, ["--stream"], environment: environment, pipesError: false)
      _ = fcntl(child.input, F_SETFL, O_NONBLOCK)
      self.child = child
      startedAt = .now
    }
    for line in lines {
      unsent += line.bytes
      unsent.append(0x0A)
    }
    feed()
  }

  /// What a step has said, and how it ended where it did.
  struct Said {
    var lines: [JSON] = []
    var end: (kind: StepEnd, reason: String)?
  }

  /// Goes on where poll(2) found something to do.
  func proceed(_ ready: [pollfd]) -> Said {
    guard let child else { return Said() }
    if ready.contains(where: { $0.fd == child.input }) { feed() }
    return ready.contains { $0.fd == child.output } ? read(child) : Said()
  }

  /// Kills a step that hangs. What it had said until then counts.
  func abandon(_ reason: String) -> Said {
    guard let child else { return Said(end: (.died, reason)) }
    child.signalGroup(SIGKILL)
    child.awaitEnd()
    _ = fcntl(child.output, F_SETFL, O_NONBLOCK)
    var said = Said()
    repeat {
      let more = read(child)
      said.lines += more.lines
      said.end = more.end
    } while said.end == nil
    if said.end?.kind == .died { said.end?.reason = reason }
    return said
  }

  /// Writes what the step's input takes. One that takes no more is at its end, of which its output tells.
  private func feed() {
    guard let child, !unsent.isEmpty else { return }
    let count = unsent.withUnsafeBytes { write(child.input, $0.baseAddress, $0.count) }
    if count > 0 {
      unsent.removeFirst(count)
    } else if errno != EINTR, errno != EAGAIN {
      unsent = []
    }
  }

  private func read(_ child: Child) -> Said {
    let count = buffer.withUnsafeMutableBytes { Glibc.read(child.output, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { return Said() }
    guard count > 0 else {
      let end = stop()
      return Said(end: (.died, end?.description ?? "closed its output"))
    }
    lastUsed = .now
    let searched = received.count
    received += buffer[..<count]
    guard let last = received[searched...].lastIndex(of: 0x0A) else {
      if received.count <= Self.replyLimit { return Said() }
      stop()
      return Said(end: (.confused, "wrote a line without an end"))
    }
    var said = Said()
    for line in received[..<last].split(separator: 0x0A) {
      guard let json = try? JSON(reading: Array(line)) else {
        stop()
        said.end = (.confused, "wrote no JSON")
        return said
      }
      said.lines.append(json)
    }
    received.removeSubrange(...last)
    return said
  }

  /// Ends a step that holds nothing when it has had nothing to do for `seconds`, or is ten minutes old: what it opened and read
  /// at its start, the names of hosts and certificates, may have been replaced.
  func rest(after seconds: Int, now: Instant) {
    if lastUsed.adding(seconds: seconds) <= now || startedAt.adding(seconds: 600) <= now { stop() }
  }

  /// Ends the step: the end of its input is its sign to go; what does not is killed. Nothing of it is left.
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
