import Glibc
import NIOCore

/// The way into a stream process: lines that go as far as its stdin takes them now, and the rest. Used under the lock of its
/// pool, by whoever has a line.
struct StreamPipe: Sendable {
  private var input: Int32
  /// Taps on the shoulder of the thread that looks after the process.
  private let bell: Int32
  private var unsent = CircularBuffer<[UInt8]>()
  /// How much of the first of these has gone.
  private var sentOfFirst = 0
  /// The process has closed its stdin before it was told to end.
  private(set) var isBroken = false

  /// `input` is closed by `close`, `bell` is the caller's.
  init(input: Int32, bell: Int32) {
    self.input = input
    self.bell = bell
  }

  /// The descriptor to poll for writing; -1 when nothing waits or can be written.
  var waitingToWrite: Int32 { unsent.isEmpty || isBroken ? -1 : input }

  /// How many lines have not begun to go.
  var unbegun: Int { unsent.count - (sentOfFirst > 0 ? 1 : 0) }

  /// Sends a line behind those that wait.
  mutating func send(_ line: [UInt8]) {
    let mustRing = unsent.isEmpty
    unsent.append(line)
    guard mustRing else { return }
    feed()
    if !unsent.isEmpty || isBroken { ring() }
  }

  /// Writes what stdin takes now.
  mutating func feed() {
    while let line = unsent.first, !isBroken {
      let count = line[sentOfFirst...].withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
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

  func ring() {
    var byte: UInt8 = 0
    _ = write(bell, &byte, 1)
  }

  mutating func close() {
    if input >= 0 { Glibc.close(input) }
    input = -1
  }
}
