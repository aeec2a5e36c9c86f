/// What a handler writes on stderr, cut into whole lines, of which a request may have so many bytes.
struct ErrorLines: Sendable {
  private let limit: Int
  private var pending: [UInt8] = []
  private var taken = 0
  /// Whether anything had to be dropped.
  private(set) var isCut = false
  /// Inside a line whose beginning was dropped.
  private var isSkipping = false

  init(limit: Int) { self.limit = limit }

  /// The lines that `bytes` complete, each with its line feed.
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

  /// The next request begins: it has a limit of its own.
  mutating func renew() {
    taken = 0
    isCut = false
  }

  /// The last line, where it only lacks its line feed; one that the limit has cut is dropped.
  mutating func finish() -> [[UInt8]] {
    defer { pending.removeAll() }
    return pending.isEmpty || isCut ? [] : [pending + [0x0A]]
  }
}
