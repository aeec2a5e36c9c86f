import Glibc
import Host

/// A process that waits at stdin for its request.
struct SpareProcess: Sendable {
  let child: Child
  let since: ContinuousClock.Instant

  /// Whether it still waits. One that has ended has been waited for.
  var isAlive: Bool { child.poll() == nil }

  /// Ends the process. It has no request, so nothing is lost. It is killed, because it would take the mere end of its stdin
  /// for a request.
  func end() {
    child.signalGroup(SIGKILL)
    _ = child.wait()
    closeAll()
  }

  func closeAll() { for descriptor in [child.input, child.output, child.error] { close(descriptor) } }
}

/// The spare processes of one handler: decides which one a request gets, and whether more should be started. Processes that
/// cannot be used any more are returned to the caller, which must end them.
struct WarmPool: Sendable {
  typealias Time = ContinuousClock.Instant

  /// How long a spare process waits.
  static var longestIdle: Duration { .seconds(60) }
  /// How long none is started after one has ended by itself.
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

  /// The process that has waited longest, if there is one of the present file; and the processes that are of an older file or
  /// have waited too long.
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

  /// Whether the caller must call `expire` after the longest idle time. True once, until `expire` says that it need not go on.
  mutating func startExpiry() -> Bool {
    defer { expires = true }
    return !expires
  }

  /// The processes that have waited too long, and whether others are left, so that the caller must call again later.
  mutating func expire(at now: Time) -> (idle: [SpareProcess], goesOn: Bool) {
    let idle = removeIdle(at: now)
    expires = !processes.isEmpty
    return (idle, expires)
  }

  /// Whether the caller must start a process now, and then `add` it, or nil where the start failed.
  mutating func startsMore(of handler: HostedHandler, at now: Time) -> Bool {
    guard handler == self.handler, processes.count < size, !isStarting, !isClosed, pauseEnds.map({ $0 <= now }) ?? true
    else { return false }
    if processes.isEmpty { version = FileVersion(handler.path) }
    isStarting = true
    return true
  }

  /// Adds a new process. Returns it where the pool does not take it any more.
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

  /// All processes that are left. None is started from now on.
  mutating func close() -> [SpareProcess] {
    isClosed = true
    defer { processes = [] }
    return processes
  }
}
