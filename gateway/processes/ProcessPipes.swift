import Glibc
import Host

extension Child {
  /// How long a process may take to end after it has closed its stdout.
  static var exitTime: Duration { .seconds(1) }
}

/// The reading end of a pipe, in non-blocking mode.
struct PipeReader: Sendable {
  /// -1 once it is closed.
  private(set) var descriptor: Int32

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  var isOpen: Bool { descriptor >= 0 }

  /// Reads once into `buffer` and returns the bytes; none if nothing was available. Closes the pipe at its end.
  mutating func read(_ buffer: inout [UInt8]) -> ArraySlice<UInt8> {
    let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
    if count == 0 || count < 0 && errno != EAGAIN && errno != EINTR { close() }
    return buffer[..<max(count, 0)]
  }

  mutating func close() {
    if isOpen { Glibc.close(descriptor) }
    descriptor = -1
  }
}

/// Waits until at least one of the descriptors is ready for its events, but at most for `time`. Returns for each
/// descriptor whether it is ready. A negative descriptor is never ready.
func waitUntilReady(_ descriptors: [(descriptor: Int32, events: Int32)], for time: Duration) -> [Bool] {
  var entries = descriptors.map { pollfd(fd: $0.descriptor, events: Int16($0.events), revents: 0) }
  guard poll(&entries, nfds_t(entries.count), Int32(time.milliseconds + 1)) > 0 else {
    return Array(repeating: false, count: entries.count)
  }
  return entries.map { $0.revents != 0 }
}
