import CProcess
import Glibc

/// Tells all threads that the gateway stops: a pipe that is never written to. When its writing end is closed, every poll(2) of
/// its reading end returns.
final class StopSignal: Sendable {
  let descriptor: Int32
  private let writing: Int32

  /// Nil when the system has no descriptors left.
  init?() {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { return nil }
    (descriptor, writing) = (ends[0], ends[1])
  }

  /// To be called once.
  func send() { close(writing) }
}
