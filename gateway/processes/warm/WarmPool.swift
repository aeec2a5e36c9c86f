import Glibc
import Host

/// A process that waits at stdin for its request.
struct Spare: Sendable {
  let child: Child
  let since: ContinuousClock.Instant

  /// Whether it still waits; one that has ended has been waited for.
  var isAlive: Bool { child.poll() == nil }

  /// Ends it. Nothing has been asked of it, so nothing can be lost: and its stdin must not just end, which would be a request.
  func end() {
    child.signalGroup(SIGKILL)
    _ = child.wait()
    closeAll()
  }

  func closeAll() { for descriptor in [child.input, child.output, child.error] { close(descriptor) } }
}

/// The spares of one handler: which one a request gets, and whether more should be started. Those that are of no use any more
/// are handed out to be ended.
struct SpareRack: Sendable {
  typealias Time = ContinuousClock.Instant

  /// How long a spare waits, and how long nothing is started after a spare has ended by itself.
  static var longestIdle: Duration { .seconds(60) }
  private static var pause: Duration { .seconds(5) }

  let handler: HostedHandler
  private let places: Int
  private var stamp: FileStamp?
  private var spares: [Spare] = []
  private var beingStarted = false
  private var pauseEnds: Time?
  private var isClosed = false
  private var isWatched = false

  init(_ handler: HostedHandler, places: Int) {
    self.handler = handler
    self.places = places
  }

  /// The spare that has waited longest, if there is one of the present file; and those of an older file, or idle for too long.
  mutating func take(for handler: HostedHandler, at now: Time) -> (spare: Spare?, old: [Spare]) {
    // Who had found its route before the handlers were read again.
    guard handler == self.handler else { return (nil, []) }
    var old = takeIdle(at: now)
    if FileStamp(handler.path) != stamp {
      old += spares
      spares = []
    }
    while !spares.isEmpty {
      let spare = spares.removeFirst()
      if spare.isAlive { return (spare, old) }
      spare.closeAll()
      pauseEnds = now + Self.pause
    }
    return (nil, old)
  }

  var count: Int { spares.count }

  /// Those that have waited for too long.
  mutating func takeIdle(at now: Time) -> [Spare] {
    let idle = spares.filter { now - $0.since >= Self.longestIdle }
    spares.removeAll { now - $0.since >= Self.longestIdle }
    return idle
  }

  /// Whether somebody must begin to look for idle spares; true once, until `takeIdleByWatch` says that it is over.
  mutating func beWatched() -> Bool {
    defer { isWatched = true }
    return !isWatched
  }

  /// Those that have waited for too long, and whether there are others to be looked for later.
  mutating func takeIdleByWatch(at now: Time) -> (idle: [Spare], goesOn: Bool) {
    let idle = takeIdle(at: now)
    isWatched = !spares.isEmpty
    return (idle, isWatched)
  }

  /// Whether a spare should be started now; whoever is told so must `add` it, or nil where that failed.
  mutating func wantsMore(of handler: HostedHandler, at now: Time) -> Bool {
    guard handler == self.handler, spares.count < places, !beingStarted, !isClosed, pauseEnds.map({ $0 <= now }) ?? true
    else { return false }
    if spares.isEmpty { stamp = FileStamp(handler.path) }
    beingStarted = true
    return true
  }

  /// Takes in a new spare; hands it back where it came too late.
  mutating func add(_ child: Child?, of handler: HostedHandler, at now: Time) -> Spare? {
    guard handler == self.handler else { return child.map { Spare(child: $0, since: now) } }
    beingStarted = false
    guard let child else {
      pauseEnds = now + Self.pause
      return nil
    }
    let spare = Spare(child: child, since: now)
    if isClosed { return spare }
    spares.append(spare)
    return nil
  }

  /// All that is left; nothing is started any more.
  mutating func close() -> [Spare] {
    isClosed = true
    defer { spares = [] }
    return spares
  }
}
