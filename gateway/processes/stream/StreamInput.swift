import Glibc
import NIOCore

/// Writes request lines to the stdin of a stream process: as much as the pipe takes now, and the rest later. Every
/// thread that has a line uses it, under the lock of its pool.
struct StreamInput: Sendable {
  private var descriptor: Int32
  /// The descriptor of a pipe. A byte written to it wakes the thread of the process.
  private let wakeup: Int32
  private var unsent = CircularBuffer<[UInt8]>()
  /// How many bytes of the first line have been sent.
  private var sentOfFirst = 0
  /// True if the process has closed its stdin before it was asked to end.
  private(set) var isBroken = false

  /// `close` closes `descriptor`. The caller must close `wakeup`.
  init(descriptor: Int32, wakeup: Int32) {
    self.descriptor = descriptor
    self.wakeup = wakeup
  }

  /// The descriptor to poll for writing; -1 if nothing waits or nothing can be written.
  var pollDescriptor: Int32 { unsent.isEmpty || isBroken ? -1 : descriptor }

  /// The number of lines of which no byte has been sent.
  var unsentLines: Int { unsent.count - (sentOfFirst > 0 ? 1 : 0) }

  /// Sends a line after those that are waiting.
  mutating func send(_ line: [UInt8]) {
    let isFirst = unsent.isEmpty
    unsent.append(line)
    guard isFirst else { return }
    flush()
    if !unsent.isEmpty || isBroken { wake() }
  }

  /// Writes as much as stdin takes now.
  mutating func flush() {
    while let line = unsent.first, !isBroken {
      let count = line[sentOfFirst...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        isBroken = errno != EAGAIN && errno != EINTR
        return
      }
      sentOfFirst += count
      guard sentOfFirst == line.count else { return }
      unsent.removeFirst()
      sentOfFirst = 0
    }
  }

  /// Wakes the thread of the process, which then reads the state of the pool.
  func wake() {
    var byte: UInt8 = 0
    _ = write(wakeup, &byte, 1)
  }

  mutating func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }
}
