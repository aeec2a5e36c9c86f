/// Makes text harmless that a spreadsheet could run as a formula: an apostrophe before it, which spreadsheets take for
/// the beginning of text.
///
/// Telephone numbers get it too. Without it, a spreadsheet shows +971501234567 as the number 9.71501E+11. To read a cell
/// with a program, remove one leading apostrophe: text that begins with an apostrophe of its own gets a second one, so
/// nothing is lost.
package enum FormulaGuard {
  static let mark = UInt8(ascii: "'")

  /// True if the text must not stand at the beginning of a cell.
  static func guards(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let first = text.first else { return false }
    // Tab, LF, CR: some spreadsheets remove them and run what follows.
    if first == mark || first == 0x09 || first == 0x0A || first == 0x0D { return true }
    // Spaces and quotes before a sign do not stop every spreadsheet.
    var index = 0
    while index < text.count, text[index] == 0x20 || text[index] == UInt8(ascii: "\"") { index += 1 }
    guard index < text.count else { return false }
    switch text[index] {
    case UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "@"), 0x09, 0x0A, 0x0D: return true
    // The full-width forms ＝ ＋ － ＠: U+FF1D, U+FF0B, U+FF0D, U+FF20.
    case 0xEF where index + 2 < text.count:
      let (second, third) = (text[index + 1], text[index + 2])
      return second == 0xBC && [0x9D, 0x8B, 0x8D, 0xA0].contains(third)
    default: return false
    }
  }
}
