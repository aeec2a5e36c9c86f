import Contract
import Glibc
import Host
import Wire

/// Keeps services running. A service that ends is restarted after a delay, which doubles from half a second up to 8 s.
/// The delay is reset after the service has run for ten seconds, so that the kills of a healthy one do not add up.
struct Supervisor {
  private struct Service {
    let name: String
    let arguments: [String]
    let path: String
    let environment: () -> [String: String]
    /// Called before each start.
    let prepare: () throws -> Void
    var child: Child?
    var startedAt = Instant.steady
    var failures = 0
    var startAt = Instant.steady
  }

  private var services: [Service] = []
  /// True if a service has refused its settings, so that restarting it is useless.
  private(set) var mustEnd = false
  private let signals: SignalPipe
  private let log: Log
  /// Called about once a second, to keep other processes running. Returns the names of services to restart.
  private let watch: () -> [String]

  init(signals: SignalPipe, log: Log, watch: @escaping () -> [String]) {
    self.signals = signals
    self.log = log
    self.watch = watch
  }

  /// Starts a service, which inherits our stderr. `prepare` runs before each start, and then `environment`.
  mutating func start(
    _ name: String, _ path: String, _ arguments: [String] = [], environment: @escaping () -> [String: String],
    prepare: @escaping () throws -> Void = {}
  ) throws {
    var service = Service(name: name, arguments: arguments, path: path, environment: environment, prepare: prepare)
    try Self.start(&service)
    services.append(service)
  }

  /// True if the service is still running.
  mutating func isAlive(_ name: String) -> Bool {
    guard let index = services.firstIndex(where: { $0.name == name }), let child = services[index].child else {
      return false
    }
    guard child.poll() != nil else { return true }
    services[index].child = nil
    return false
  }

  /// Supervises the services. Returns after SIGTERM, SIGINT or SIGHUP, or when `mustEnd` becomes true.
  mutating func run() {
    while true {
      var entry = pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)
      _ = poll(&entry, 1, 1000)
      if signals.take().contains(where: { $0 != SIGCHLD }) { return }
      for index in services.indices {
        var service = services[index]
        tend(&service)
        services[index] = service
      }
      if mustEnd { return }
      for name in watch() { services.first { $0.name == name }?.child?.signalGroup(SIGTERM) }
    }
  }

  /// True if a signal to stop has arrived; for use before `run`.
  func hasStopSignal() -> Bool { signals.take().contains { $0 != SIGCHLD } }

  /// Stops the named services for good and at the same time: sends TERM, and KILL to those that still run after
  /// `seconds`.
  mutating func stop(_ names: Set<String>, seconds: Int) {
    let running = services.indices.filter { names.contains(services[$0].name) && services[$0].child != nil }
    for index in running { if let child = services[index].child { kill(child.pid, SIGTERM) } }
    let end = Instant.steady.adding(seconds: seconds)
    for index in running {
      guard let child = services[index].child else { continue }
      while child.poll() == nil {
        if Instant.steady >= end {
          log.warn("Killed a service that did not stop in time", ["service": services[index].name])
          child.signalGroup(SIGKILL)
          _ = child.wait()
          break
        }
        usleep(20_000)
      }
    }
    services.removeAll { names.contains($0.name) }
  }

  private mutating func tend(_ service: inout Service) {
    let now = Instant.steady
    if let child = service.child, let end = child.poll() {
      service.child = nil
      if service.startedAt.adding(seconds: 10) <= now { service.failures = 0 }
      // After the first start, a restart would fail too. Later, the service has already run with these settings.
      let isFirst = service.failures == 0 && service.startedAt.adding(seconds: 5) > now
      if isFirst, end == .exited(ExitStatus.misconfigured) {
        log.error("A service has wrong settings: stopping", ["service": service.name])
        mustEnd = true
        return
      }
      let wait = min(500 << min(service.failures, 4), 8000)
      service.failures += 1
      service.startAt = Instant(milliseconds: now.milliseconds + wait)
      log.error("A service ended", ["service": service.name, "how": end.description, "againInMs": String(wait)])
    }
    guard service.child == nil, service.startAt <= now else { return }
    do { try Self.start(&service) } catch {
      service.startAt = now.adding(seconds: 5)
      log.error("A service cannot be started", ["service": service.name, "reason": "\(error)"])
    }
  }

  private static func start(_ service: inout Service) throws {
    try service.prepare()
    do throws(Child.Failure) {
      service.child = try Child.service(service.path, service.arguments, environment: service.environment())
    } catch { throw CommandError(error.reason) }
    service.startedAt = .steady
  }
}
