import Wire

/// What a process does once its replies are written, so that no client waits for it: asked for as often as one likes, done
/// together, never forgotten, and without a word in the reply or the exit status. One thread uses it.
package final class Afterwards {
  /// Does what was asked for; returns how long it is to rest then, in milliseconds. It must not wait for long.
  package typealias Work = (Log) -> Int

  private var work: Work?
  private var isAsked = false
  private var restsUntil = Instant(milliseconds: 0)

  package init() {}

  /// Says what there is to do: once, while the handler opens. Without it asking leads to nothing.
  package func set(_ work: @escaping Work) { self.work = work }

  /// Asks for the work, after the reply that is being made.
  package func ask() { isAsked = work != nil }

  /// When the work is to be done: nil when nobody has asked for it.
  package var dueAt: Instant? { isAsked ? restsUntil : nil }

  /// Does the work if it is due: while a stream goes on.
  package func proceed(now: Instant, log: Log) {
    guard let dueAt, dueAt <= now else { return }
    finish(now: now, log: log)
  }

  /// Does the work if anybody has asked for it, rest or no rest: at the end of the process.
  package func finish(now: Instant, log: Log) {
    guard isAsked, let work else { return }
    isAsked = false
    restsUntil = Instant(milliseconds: now.milliseconds + work(log))
  }
}
