import Wire

/// Work that a process does after its replies are written, so that no client waits for it. It can be requested any
/// number of times; pending requests are combined into one run. Requested work is done before the process exits, and it
/// changes neither the reply nor the exit status. Not thread-safe.
package final class Afterwards {
  /// Does the work. Returns the minimum time until the next run, in milliseconds. It must not block for long.
  package typealias Work = (Log) -> Int

  /// Work of another kind: what a stream does while a call waits.
  package let readAhead = ReadAhead()

  private var work: Work?
  private var isRequested = false
  private var notBefore = Instant(milliseconds: 0)

  package init() {}

  /// Sets the work. Call it once, while the handler opens. Without it, `request` has no effect.
  package func set(_ work: @escaping Work) { self.work = work }

  /// Requests the work after the current reply.
  package func request() { isRequested = work != nil }

  /// When the work is due. Nil if it has not been requested.
  package var dueAt: Instant? { isRequested ? notBefore : nil }

  /// Does the work if it is due. For use while a stream runs.
  package func proceed(now: Instant, log: Log) {
    guard let dueAt, dueAt <= now else { return }
    finish(now: now, log: log)
  }

  /// Does the work if it has been requested, even if it is not yet due. For use at the end of the process.
  package func finish(now: Instant, log: Log) {
    guard isRequested, let work else { return }
    isRequested = false
    notBefore = Instant(milliseconds: now.milliseconds + work(log))
  }
}
