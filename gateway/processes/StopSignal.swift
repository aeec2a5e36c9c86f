import CProcess
import Glibc

/// A pipe that nobody writes to: when its writing end is closed, everybody who polls the reading end learns of it.
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
  func give() { close(writing) }
}
