import CProcess
import Glibc

/// Signals to all threads that the gateway is stopping. It is a pipe to which nothing is written. When its writing end
/// is closed, every poll(2) of its reading end returns.
final class StopSignal: Sendable {
  let descriptor: Int32
  private let writing: Int32

  /// Nil if the system has no descriptors left.
  init?() {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { return nil }
    (descriptor, writing) = (ends[0], ends[1])
  }

  /// Sends the signal. Must be called only once.
  func send() { close(writing) }
}
