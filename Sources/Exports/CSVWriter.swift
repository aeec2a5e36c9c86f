/// Writes CSV (RFC 4180) that spreadsheets open as it is: UTF-8 with a byte order mark, a header row, CRLF, and no cell
/// that a spreadsheet could take for a formula (`FormulaGuard`). The caller takes the bytes away as it goes, so that a
/// file of any length needs little memory.
package struct CSVWriter {
  private var bytes: [UInt8] = []
  private var isFirst = true

  package init() { bytes.reserveCapacity(524_288) }

  /// Writes the header row. The name of a column with times includes their zone.
  package mutating func begin(_ columns: [ExportColumn], zone: String) {
    bytes += [0xEF, 0xBB, 0xBF]
    for column in columns {
      var name = column.heading(zone: zone)
      name.withUTF8 { add($0, .text) }
    }
    endRow()
  }

  /// Writes the next cell of a row, from its text in UTF-8; nil for an empty one. A time is `2026-11-28 21:30:00`.
  package mutating func add(_ text: UnsafeBufferPointer<UInt8>?, _ kind: ExportColumn.Kind) {
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    isFirst = false
    guard let text, !text.isEmpty else { return }
    // Numbers, times and flags are the database's own words: -5 stays a number.
    let isGuarded = kind.isTyped && FormulaGuard.guards(text)
    guard Self.needsQuotes(text) else {
      if isGuarded { bytes.append(FormulaGuard.mark) }
      return bytes.append(contentsOf: text)
    }
    bytes.append(UInt8(ascii: "\""))
    if isGuarded { bytes.append(FormulaGuard.mark) }
    for byte in text {
      if byte == UInt8(ascii: "\"") { bytes.append(byte) }
      bytes.append(byte)
    }
    bytes.append(UInt8(ascii: "\""))
  }

  package mutating func endRow() {
    bytes += [0x0D, 0x0A]
    isFirst = true
  }

  /// Returns what has been written since the last call.
  package mutating func take() -> [UInt8] {
    defer { bytes.removeAll(keepingCapacity: true) }
    return bytes
  }

  /// Also true for a cell with a semicolon or a tab, at which some programs split, and for outer spaces, which some
  /// remove.
  private static func needsQuotes(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    if text.first == 0x20 || text.last == 0x20 { return true }
    for byte in text {
      switch byte {
      case 0x22, 0x2C, 0x3B, 0x0D, 0x0A, 0x09: return true
      default: continue
      }
    }
    return false
  }
}
