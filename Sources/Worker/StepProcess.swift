import Glibc
import Handler
import Host
import Wire

/// A step kept running as a stream: one line in, one line out. It is started when it is first needed, and again after it
/// ended.
final class StepProcess {
  private let handler: HostedHandler
  private let environment: [String: String]
  private var child: Child?
  private var pending: [UInt8] = []
  private(set) var lastUsed = Instant.now

  /// The largest reply line: a whole claim of the largest size.
  private static let replyLimit = 64 * 1024 * 1024

  init(_ handler: HostedHandler, settings: [String: String]) {
    self.handler = handler
    environment = handler.environment(from: settings)
  }

  deinit { stop() }

  var name: String { handler.description.name }
  /// Readable when the step has something to say; -1 while it does not run.
  var descriptor: Int32 { child?.output ?? -1 }

  /// Writes a line to the step. A line is smaller than the step's 64 KiB pipe or is being read by it, for it holds no other.
  func send(_ line: JSON) throws(Child.Failure) {
    lastUsed = .now
    if child == nil {
      child = try Child.spawn(handler.path, ["--stream"], environment: environment, pipesError: false)
    }
    guard let child else { return }
    var rest = (line.bytes + [0x0A])[...]
    let end = Instant.now.adding(seconds: 5)
    while !rest.isEmpty {
      var entry = pollfd(fd: child.input, events: Int16(POLLOUT), revents: 0)
      guard poll(&entry, 1, 1000) >= 0 || errno == EINTR, .now < end else {
        throw Child.Failure(call: "write", code: EAGAIN)
      }
      guard entry.revents & Int16(POLLOUT | POLLERR) != 0 else { continue }
      let count = rest.withUnsafeBytes { write(child.input, $0.baseAddress, min($0.count, 4096)) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        throw Child.Failure(call: "write", code: errno)
      }
    }
  }

  /// What the step has said.
  enum Said {
    case line(JSON)
    case notYet
    /// It ended, or wrote what is no JSON line.
    case gone(String)
  }

  /// Reads what is there; call it when the descriptor is readable.
  func read() -> Said {
    guard let child else { return .gone("not running") }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = buffer.withUnsafeMutableBytes { Glibc.read(child.output, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { return .notYet }
    guard count > 0 else {
      let end = stop()
      return .gone(end?.description ?? "closed its output")
    }
    lastUsed = .now
    pending += buffer[..<count]
    guard let end = pending.firstIndex(of: 0x0A) else {
      if pending.count <= Self.replyLimit { return .notYet }
      stop()
      return .gone("wrote a line without an end")
    }
    let line = Array(pending[..<end])
    pending.removeSubrange(...end)
    guard let json = try? JSON(reading: line) else {
      stop()
      return .gone("wrote no JSON")
    }
    return .line(json)
  }

  /// Ends the step: the end of its input is its sign to go; what does not is killed. Nothing of it is left.
  @discardableResult
  func stop() -> Termination? {
    guard let child else { return nil }
    self.child = nil
    pending = []
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
