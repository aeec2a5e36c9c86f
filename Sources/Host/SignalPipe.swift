import CProcess
import Glibc

/// Signals as bytes on a descriptor, so a loop around poll(2) receives them with its other events.
package struct SignalPipe: Sendable {
  /// Readable when a signal has arrived.
  package let descriptor: Int32

  /// Catches `signals` from now on, for the whole process. Call it only once.
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

  /// Returns the signals that have arrived since the last call.
  package func take() -> [Int32] {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return count > 0 ? buffer[..<count].map { Int32($0) } : []
  }
}

/// A signal handler can only use globals. This one is set once, before the handler is installed.
nonisolated(unsafe) private var writingEnd: Int32 = -1
