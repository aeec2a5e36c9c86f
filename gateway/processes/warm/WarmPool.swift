import Glibc
import Host

/// A process that waits for its request on stdin.
struct SpareProcess: Sendable {
  let child: Child
  let since: ContinuousClock.Instant

  /// True if the process is still waiting. If it has ended, this has reaped it.
  var isAlive: Bool { child.poll() == nil }

  /// Kills the process. It has no request, so nothing is lost. Closing its stdin is not enough: the process would take
  /// that for an empty request.
  func end() {
    child.signalGroup(SIGKILL)
    _ = child.wait()
    closeAll()
  }

  func closeAll() { for descriptor in [child.input, child.output, child.error] { close(descriptor) } }
}

/// The spare processes of one handler. Decides which process a request gets, and whether more should be started. It
/// returns processes that can no longer be used; the caller must end them.
struct WarmPool: Sendable {
  typealias Time = ContinuousClock.Instant

  /// How long a spare process may wait.
  static var longestIdle: Duration { .seconds(60) }
  /// How long no process is started after one has ended on its own or could not be started.
  private static var pause: Duration { .seconds(5) }

  let handler: HostedHandler
  private let size: Int
  private var version: FileVersion?
  private var processes: [SpareProcess] = []
  private var isStarting = false
  private var pauseEnds: Time?
  private var isClosed = false
  private var expires = false

  init(_ handler: HostedHandler, size: Int) {
    self.handler = handler
    self.size = size
  }

  var count: Int { processes.count }

  /// Returns the process that has waited longest; nil if there is none from the current version of the handler's file.
  /// Also returns the processes that are from an older version or have waited too long.
  mutating func take(for handler: HostedHandler, at now: Time) -> (process: SpareProcess?, unusable: [SpareProcess]) {
    // A request may have found its route before the handlers were reloaded.
    guard handler == self.handler else { return (nil, []) }
    var unusable = removeIdle(at: now)
    if FileVersion(handler.path) != version {
      unusable += processes
      processes = []
    }
    while !processes.isEmpty {
      let process = processes.removeFirst()
      if process.isAlive { return (process, unusable) }
      process.closeAll()
      pauseEnds = now + Self.pause
    }
    return (nil, unusable)
  }

  private mutating func removeIdle(at now: Time) -> [SpareProcess] {
    let idle = processes.filter { now - $0.since >= Self.longestIdle }
    processes.removeAll { now - $0.since >= Self.longestIdle }
    return idle
  }

  /// True if the caller must call `expire` after the longest idle time. It is true only once, until `expire` returns
  /// that no further call is needed.
  mutating func startExpiry() -> Bool {
    defer { expires = true }
    return !expires
  }

  /// Returns the processes that have waited too long. If `goesOn` is true, others are left and the caller must call
  /// again later.
  mutating func expire(at now: Time) -> (idle: [SpareProcess], goesOn: Bool) {
    let idle = removeIdle(at: now)
    expires = !processes.isEmpty
    return (idle, expires)
  }

  /// True if the caller must start a process now. The caller must then `add` it, or nil if the start failed.
  mutating func startsMore(of handler: HostedHandler, at now: Time) -> Bool {
    guard handler == self.handler, processes.count < size, !isStarting, !isClosed, pauseEnds.map({ $0 <= now }) ?? true
    else { return false }
    if processes.isEmpty { version = FileVersion(handler.path) }
    isStarting = true
    return true
  }

  /// Adds a new process. Returns it if the pool no longer accepts it.
  mutating func add(_ child: Child?, of handler: HostedHandler, at now: Time) -> SpareProcess? {
    guard handler == self.handler else { return child.map { SpareProcess(child: $0, since: now) } }
    isStarting = false
    guard let child else {
      pauseEnds = now + Self.pause
      return nil
    }
    let process = SpareProcess(child: child, since: now)
    if isClosed { return process }
    processes.append(process)
    return nil
  }

  /// Removes and returns all processes. No process is started from now on.
  mutating func close() -> [SpareProcess] {
    isClosed = true
    defer { processes = [] }
    return processes
  }
}
