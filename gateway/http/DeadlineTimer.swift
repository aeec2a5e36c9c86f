import NIOCore

/// The time limit of a connection's current activity. Setting it is cheap: a timer that checks early enough is kept,
/// because cancelling a timer makes the event loop search all of its timers.
final class DeadlineTimer {
  private let loop: NIOIsolatedEventLoop
  /// The maximum time between two checks.
  private let interval: TimeAmount
  private let expired: () -> Void
  private var deadline: NIODeadline?
  private var check: (time: NIODeadline, scheduled: Scheduled<Void>)?

  init(_ loop: NIOIsolatedEventLoop, interval: TimeAmount, expired: @escaping () -> Void) {
    self.loop = loop
    self.interval = interval
    self.expired = expired
  }

  func set(_ time: TimeAmount) {
    deadline = .now() + time
    scheduleCheck(at: .now() + min(time, interval))
  }

  func clear() { deadline = nil }

  func cancel() {
    deadline = nil
    check?.scheduled.cancel()
  }

  private func scheduleCheck(at time: NIODeadline) {
    if let check, check.time <= time { return }
    check?.scheduled.cancel()
    check = (time, loop.scheduleTask(deadline: time) { self.checkDeadline() })
  }

  private func checkDeadline() {
    check = nil
    guard let deadline else { return }
    if deadline <= .now() { expired() } else { scheduleCheck(at: min(deadline, .now() + interval)) }
  }
}
