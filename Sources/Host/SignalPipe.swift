import CProcess
import Glibc

/// Signals as bytes on a descriptor, so that a loop around poll(2) sees them among its other events.
package struct SignalPipe: Sendable {
  /// Readable when a signal has come.
  package let descriptor: Int32

  /// Catches `signals` from now on, for the whole process. Call it once.
  package init(_ signals: [Int32]) throws(Child.Failure) {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw Child.Failure(call: "pipe", code: errno) }
    descriptor = ends[0]
    writingEnd = ends[1]
    for number in signals {
      signal(number) { number in
        let saved = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(writingEnd, &byte, 1)
        errno = saved
      }
    }
  }

  /// The signals that have come since the last call.
  package func take() -> [Int32] {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return count > 0 ? buffer[..<count].map { Int32($0) } : []
  }
}

/// A signal handler reaches nothing but globals; this one is written once, before the handler is set.
nonisolated(unsafe) private var writingEnd: Int32 = -1
