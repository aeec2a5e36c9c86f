import Glibc
import Wire

/// Reading stdin: bounded, and to the end even when what comes is refused.
enum StandardInput {
  enum Document {
    case bytes([UInt8])
    case tooLarge
    case unreadable(String)
  }

  /// The largest document for a body limit: an envelope repeats the body in base 64 or with every byte escaped.
  static func limit(forBody bodyLimit: Int) -> Int { bodyLimit * 6 + 131_072 }

  /// All of stdin. From a terminal that would wait for a person, a request without a body is meant.
  static func readAll(limit: Int) -> Document {
    if isatty(0) == 1 { return .bytes([]) }
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

  /// Waits until there is something to read, or the end.
  static func wait() {
    var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    while poll(&entry, 1, -1) < 0, errno == EINTR {}
  }

  /// Whether a read would not wait. Comes back when that is so, when a signal has come, or at the deadline.
  static func isReady(until deadline: Instant) -> Bool {
    var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    let left = deadline.milliseconds - Instant.now.milliseconds
    return poll(&entry, 1, Int32(max(0, min(left, 60_000)))) == 1
  }

  /// As read(2), again when a signal came between; nil on an error.
  fileprivate static func read(into buffer: inout [UInt8]) -> Int? {
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(0, $0.baseAddress, $0.count) }
      if count >= 0 { return count }
      if errno != EINTR { return nil }
    }
  }
}

/// The lines of stdin that are not blank, each at most `limit` bytes; a longer one is passed over and reported once.
struct LineReader {
  private let limit: Int
  private var pending: [UInt8] = []
  /// Where the next line begins, and how far it has been searched for its end.
  private var start = 0
  private var scanned = 0
  private var isSkipping = false
  private var isAtEnd = false
  /// Why stdin ended before its end, until that is told.
  private var failure: String?
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  init(limit: Int) { self.limit = limit }

  /// Waits for the next line and takes those that have come with it, `count` at most, without their line feeds; none at
  /// the end of stdin. What `beforeWaiting` does comes before each wait for the first of them.
  mutating func next(atMost count: Int, beforeWaiting: () -> Void = {}) -> [StandardInput.Document] {
    var lines: [StandardInput.Document] = []
    while lines.count < count {
      if let line = takeLine() {
        lines.append(line)
      } else if isAtEnd || (!lines.isEmpty && !StandardInput.isReady(until: .now)) {
        break
      } else {
        if lines.isEmpty { beforeWaiting() }
        fill()
      }
    }
    return lines
  }

  /// A line that is there already; at the end of stdin the last one needs no line feed.
  private mutating func takeLine() -> StandardInput.Document? {
    while let end = pending[scanned...].firstIndex(of: 0x0A) {
      let line = pending[start..<end]
      (start, scanned) = (end + 1, end + 1)
      if isSkipping || line.count > limit {
        isSkipping = false
        return .tooLarge
      }
      if !Self.isBlank(line) { return .bytes(Array(line)) }
    }
    scanned = pending.count
    if pending.count - start > limit {
      isSkipping = true
      start = pending.count
    }
    return isAtEnd ? takeRest() : nil
  }

  private mutating func takeRest() -> StandardInput.Document? {
    let rest = pending[start...]
    defer { (start, isSkipping, failure) = (pending.count, false, nil) }
    if let failure { return .unreadable(failure) }
    if isSkipping { return .tooLarge }
    return Self.isBlank(rest) ? nil : .bytes(Array(rest))
  }

  private static func isBlank(_ line: ArraySlice<UInt8>) -> Bool { line.allSatisfy { $0 == 0x20 || $0 == 0x0D } }

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

/// Writing stdout: all of it, or a failure that is told.
enum StandardOutput {
  static func write(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }
}
