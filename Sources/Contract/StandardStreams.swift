import Glibc
import Wire

/// Reads stdin with a size limit. Input that is too large is still read to the end.
package enum StandardInput {
  package static let descriptor: Int32 = 0

  enum Document {
    case bytes([UInt8])
    case tooLarge
    case unreadable(String)
  }

  /// Returns the maximum size of a document for a body limit, in bytes. An envelope contains the body in base64 or with
  /// escapes of up to six bytes per byte; 128 KiB are added for the rest.
  static func limit(forBody bodyLimit: Int) -> Int { bodyLimit * 6 + 131_072 }

  static var isTerminal: Bool { isatty(0) == 1 }

  /// Reads all of stdin. If stdin is a terminal, returns an empty document without waiting for input.
  static func readAll(limit: Int) -> Document {
    if isTerminal { return .bytes([]) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var tooLarge = false
    while true {
      switch read(into: &buffer) {
      case .some(0): return tooLarge ? .tooLarge : .bytes(bytes)
      case .some(let count):
        if bytes.count + count > limit { tooLarge = true }
        if !tooLarge { bytes += buffer[..<count] }
      case .none: return .unreadable("stdin cannot be read: \(String(cString: strerror(errno)))")
      }
    }
  }

  enum Exact {
    case bytes([UInt8])
    /// Stdin ended before all bytes arrived.
    case short
    /// The deadline passed.
    case late
    case unreadable(String)
  }

  /// Reads exactly `count` bytes and nothing after them.
  static func read(exactly count: Int, until deadline: Instant) -> Exact {
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard isReady(until: deadline) else { return .late }
      var buffer = [UInt8](repeating: 0, count: min(count - bytes.count, 65_536))
      switch read(into: &buffer) {
      case .some(0): return .short
      case .some(let read): bytes += buffer[..<read]
      case .none: return .unreadable("stdin cannot be read: \(String(cString: strerror(errno)))")
      }
    }
    return .bytes(bytes)
  }

  /// Returns true if a read would not block. Returns at the latest at the deadline, after 60 seconds, or when a signal
  /// arrives.
  static func isReady(until deadline: Instant) -> Bool {
    var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    let left = deadline.milliseconds - Instant.steady.milliseconds
    return poll(&entry, 1, Int32(max(0, min(left, 60_000)))) == 1
  }

  /// Like read(2), but retried after a signal. Nil on an error.
  fileprivate static func read(into buffer: inout [UInt8]) -> Int? {
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(0, $0.baseAddress, $0.count) }
      if count >= 0 { return count }
      if errno != EINTR { return nil }
    }
  }
}

/// Reads the non-blank lines of stdin. A line longer than `limit` bytes is skipped and reported once.
struct LineReader {
  /// A line and its number in stdin, from 1; blank lines count too.
  struct Line {
    let number: Int
    let document: StandardInput.Document
  }

  private let limit: Int
  /// The number of lines that have been taken.
  private var taken = 0
  private var pending: [UInt8] = []
  /// The start of the next line, and the position up to which its end has been searched for.
  private var start = 0
  private var scanned = 0
  private var isSkipping = false
  private var isAtEnd = false
  /// The read error that ended stdin, until it has been reported.
  private var failure: String?
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  init(limit: Int) { self.limit = limit }

  /// Waits for the next line and returns it with the lines that have already arrived, at most `count`, without their
  /// line feeds. Returns none at the end of stdin. Calls `beforeWaiting` before each wait for the first line.
  mutating func next(atMost count: Int, beforeWaiting: () -> Void = {}) -> [Line] {
    var lines: [Line] = []
    while lines.count < count {
      if let line = takeLine() {
        lines.append(line)
      } else if isAtEnd || (!lines.isEmpty && !StandardInput.isReady(until: .steady)) {
        break
      } else {
        if lines.isEmpty { beforeWaiting() }
        fill()
      }
    }
    return lines
  }

  /// True if there are no more lines, now or later.
  var isExhausted: Bool { isAtEnd && start == pending.count && failure == nil }

  /// Returns lines that have arrived, at most `count`. Reads stdin at most once, and only if `mayRead` says that this
  /// does not wait.
  mutating func available(atMost count: Int, mayRead: Bool) -> [Line] {
    var lines: [Line] = []
    var mayRead = mayRead
    while lines.count < count {
      if let line = takeLine() {
        lines.append(line)
      } else if mayRead, !isAtEnd {
        mayRead = false
        fill()
      } else {
        break
      }
    }
    return lines
  }

  /// Returns a complete line from the buffer. The last line before the end of stdin needs no line feed.
  private mutating func takeLine() -> Line? {
    while let end = pending[scanned...].firstIndex(of: 0x0A) {
      let line = pending[start..<end]
      (start, scanned) = (end + 1, end + 1)
      taken += 1
      if isSkipping || line.count > limit {
        isSkipping = false
        return Line(number: taken, document: .tooLarge)
      }
      if !Self.isBlank(line) { return Line(number: taken, document: .bytes(Array(line))) }
    }
    scanned = pending.count
    if pending.count - start > limit {
      isSkipping = true
      start = pending.count
    }
    return isAtEnd ? takeRest() : nil
  }

  private mutating func takeRest() -> Line? {
    let rest = pending[start...]
    defer { (start, isSkipping, failure) = (pending.count, false, nil) }
    let number = taken + 1
    if let failure { return Line(number: number, document: .unreadable(failure)) }
    if isSkipping { return Line(number: number, document: .tooLarge) }
    return Self.isBlank(rest) ? nil : Line(number: number, document: .bytes(Array(rest)))
  }

  /// True if the line contains only white space of JSON.
  private static func isBlank(_ line: ArraySlice<UInt8>) -> Bool {
    line.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
  }

  private mutating func fill() {
    pending.removeSubrange(..<start)
    (start, scanned) = (0, pending.count)
    if let count = StandardInput.read(into: &buffer) {
      pending += buffer[..<count]
      isAtEnd = count == 0
    } else {
      failure = "stdin cannot be read: \(String(cString: strerror(errno)))"
      isAtEnd = true
    }
  }
}

/// Writes to stdout: either all bytes, or false on an error.
package enum StandardOutput {
  package static func write(_ bytes: [UInt8]) -> Bool { writeAll(bytes, to: 1) }
}

enum StandardError {
  static func write(_ text: String) -> Bool { writeAll(Array(text.utf8), to: 2) }
}

/// Writes all bytes. False on an error.
private func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count > 0 {
      rest = rest.dropFirst(count)
    } else if errno != EINTR {
      return false
    }
  }
  return true
}
