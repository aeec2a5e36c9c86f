import Glibc
import Wire

/// Reading stdin: bounded, and to the end even when what comes is refused.
enum Input {
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

  /// As read(2), again when a signal came between; nil on an error.
  fileprivate static func read(into buffer: inout [UInt8]) -> Int? {
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(0, $0.baseAddress, $0.count) }
      if count >= 0 { return count }
      if errno != EINTR { return nil }
    }
  }
}

/// The lines of stdin, each at most `limit` bytes; a longer one is passed over and reported once.
struct LineReader {
  private let limit: Int
  private var pending: [UInt8] = []
  private var scanned = 0
  private var isSkipping = false
  private var isAtEnd = false
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  init(limit: Int) { self.limit = limit }

  /// The next line without its line feed; nil at the end of stdin.
  mutating func next() -> Input.Document? {
    while true {
      if let end = pending[scanned...].firstIndex(of: 0x0A) {
        let line = Array(pending[..<end])
        pending.removeSubrange(...end)
        scanned = 0
        if isSkipping {
          isSkipping = false
          return .tooLarge
        }
        return line.count > limit ? .tooLarge : .bytes(line)
      }
      scanned = pending.count
      if pending.count > limit {
        isSkipping = true
        pending.removeAll()
        scanned = 0
      }
      if isAtEnd { return last() }
      guard let count = Input.read(into: &buffer) else {
        isAtEnd = true
        return .unreadable("stdin cannot be read: \(String(cString: strerror(errno)))")
      }
      if count == 0 { isAtEnd = true } else { pending += buffer[..<count] }
    }
  }

  private mutating func last() -> Input.Document? {
    defer {
      pending.removeAll()
      isSkipping = false
      scanned = 0
    }
    if isSkipping { return .tooLarge }
    return pending.isEmpty ? nil : .bytes(pending)
  }
}

/// Writing stdout: all of it, or a failure that is told.
enum Output {
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
