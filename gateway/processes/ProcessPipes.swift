import Glibc
import Host

extension Child {
  /// How long a process that has closed its stdout may take to end.
  static var exitTime: Duration { .seconds(1) }
}

/// The reading end of a pipe. It does not block.
struct PipeReader: Sendable {
  /// -1 once it is closed.
  private(set) var descriptor: Int32

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  var isOpen: Bool { descriptor >= 0 }

  /// Reads once into `buffer`. What was read is empty where nothing was there; at its end the pipe is closed.
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

/// Waits until one of the descriptors is ready for what it is polled for, or for this time. Returns which of them are ready;
/// a negative one never is.
func waitUntilReady(_ descriptors: [(descriptor: Int32, events: Int32)], for time: Duration) -> [Bool] {
  var entries = descriptors.map { pollfd(fd: $0.descriptor, events: Int16($0.events), revents: 0) }
  guard poll(&entries, nfds_t(entries.count), Int32(time.milliseconds + 1)) > 0 else {
    return Array(repeating: false, count: entries.count)
  }
  return entries.map { $0.revents != 0 }
}
