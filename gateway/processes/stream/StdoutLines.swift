/// Splits the stdout of a stream process into lines.
struct StdoutLines: Sendable {
  private let limit: Int
  private var pending: [UInt8] = []

  /// - Parameter limit: the maximum length of a line in bytes.
  init(limit: Int) { self.limit = limit }

  /// The bytes after the last line feed.
  var rest: [UInt8] { pending }

  /// Returns the lines that `bytes` complete, without line feeds and without blank lines; nil if a line is too long.
  mutating func add(_ bytes: ArraySlice<UInt8>) -> [[UInt8]]? {
    var lines: [[UInt8]] = []
    var rest = bytes
    while let end = rest.withUnsafeBufferPointer({ $0.firstIndex(of: 0x0A) }).map({ rest.startIndex + $0 }) {
      pending += rest[..<end]
      rest = rest[(end + 1)...]
      guard pending.count <= limit else { return nil }
      if pending.contains(where: { $0 != 0x20 && $0 != 0x0D }) { lines.append(pending) }
      pending.removeAll(keepingCapacity: lines.isEmpty)
    }
    pending += rest
    return pending.count <= limit ? lines : nil
  }
}
