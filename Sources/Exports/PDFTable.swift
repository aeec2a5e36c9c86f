/// The rows of a PDF, held in memory: the number of pages stands on each of them. Of each cell only what can be seen is
/// kept, so that a table has a bounded size.
package struct PDFTable: Sendable {
  package struct Column: Sendable {
    package let title: String
    /// In points.
    package let width: Double
    /// True for numbers, which stand at the right edge.
    package let isNumber: Bool
    /// How many bytes of a cell are kept.
    let limit: Int

    /// - Parameter limit: the default is more than any cell shows.
    package init(_ title: String, _ width: Double, isNumber: Bool = false, limit: Int = 160) {
      (self.title, self.width, self.isNumber, self.limit) = (title, width, isNumber, limit)
    }
  }

  /// The most rows of a table.
  package static let limit = 10_000

  package let columns: [Column]
  private var bytes: [UInt8] = []
  /// Where each cell ends in `bytes`.
  private var ends: [Int32] = []

  package init(_ columns: [Column]) { self.columns = columns }

  package var rows: Int { ends.count / columns.count }

  /// Adds the next cell, from its text in UTF-8; nil for an empty one.
  package mutating func add(_ text: UnsafeBufferPointer<UInt8>?) {
    defer { ends.append(Int32(bytes.count)) }
    guard let text else { return }
    var count = min(text.count, columns[ends.count % columns.count].limit)
    // Not in the middle of a character.
    while count > 0, count < text.count, text[count] & 0xC0 == 0x80 { count -= 1 }
    for byte in text[..<count] { bytes.append(byte < 0x20 || byte == 0x7F ? 0x20 : byte) }
  }

  /// The text of a cell.
  func text(_ row: Int, _ column: Int) -> String {
    let index = row * columns.count + column
    let start = index == 0 ? 0 : Int(ends[index - 1])
    return String(decoding: bytes[start..<Int(ends[index])], as: UTF8.self)
  }
}
