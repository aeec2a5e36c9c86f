/// Splits the stderr of a handler into lines, up to a number of bytes for each request.
struct StderrLines: Sendable {
  private let limit: Int
  private var pending: [UInt8] = []
  private var taken = 0
  /// True if anything was dropped.
  private(set) var isCut = false
  /// True if the beginning of the current line was dropped.
  private var isSkipping = false

  init(limit: Int) { self.limit = limit }

  /// Returns the lines that `bytes` complete, with their line feeds.
  mutating func add(_ bytes: some BidirectionalCollection<UInt8>) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    for byte in bytes {
      guard taken < limit else {
        isCut = true
        isSkipping = bytes.last != 0x0A
        pending.removeAll()
        break
      }
      if isSkipping {
        isSkipping = byte != 0x0A
        continue
      }
      taken += 1
      if byte == 0x0A {
        if !pending.isEmpty { lines.append(pending + [0x0A]) }
        pending.removeAll(keepingCapacity: true)
      } else {
        pending.append(byte)
      }
    }
    return lines
  }

  /// Resets the limit for the next request.
  mutating func startRequest() {
    taken = 0
    isCut = false
  }

  /// Returns the last line if it lacks only its line feed. A line that the limit has cut is dropped.
  mutating func finish() -> [[UInt8]] {
    defer { pending.removeAll() }
    return pending.isEmpty || isCut ? [] : [pending + [0x0A]]
  }
}
