import Testing

@testable import Exports

@Suite struct XLSXTextTests {
  private func written(_ text: String) -> String {
    var text = text
    var cell = XLSXText()
    text.withUTF8 { cell.set($0) }
    #expect(cell.bytes.last == 0 && !cell.bytes.dropLast().contains(0))
    return String(decoding: cell.bytes.dropLast(), as: UTF8.self)
  }

  @Test(arguments: [
    ("plain", "plain"), ("سارة\tأحمد\n", "سارة\tأحمد\n"), ("a\r\nb\rc", "a\nb\nc"), ("\u{1}\u{7F}", "\u{FFFD}\u{7F}"),
    ("\u{FFFE}\u{FFFF}\u{FFFC}＝", "\u{FFFD}\u{FFFD}\u{FFFC}＝"), ("_x000D_", "_x005F_x000D_"),
    ("_x00G0_ _x12_", "_x00G0_ _x12_"), ("", ""),
  ])
  func replacesWhatAFileCannotHold(text: String, cell: String) {
    #expect(written(text) == cell)
  }

  @Test(arguments: ["x", "é", "😀", "_x0041_"])
  func countsUTF16CodeUnits(piece: String) {
    let unit = written(piece).utf16.count
    let fitting = String(repeating: piece, count: XLSXText.limit / unit)
    #expect(written(fitting) == String(repeating: written(piece), count: XLSXText.limit / unit))
    let cut = written(fitting + piece + piece)
    #expect(cut.hasSuffix("…") && cut.utf16.count <= XLSXText.limit && cut.utf16.count > XLSXText.limit - 14)
  }

  @Test(arguments: [
    ("http://a.example", true), ("https://a.example/b?c=d&e=%20#f", true), ("http://", false), ("https:///x", false),
    ("HTTP://a.example", false), ("javascript:alert(1)", false), ("http://a.example b", false),
    ("http://a.example/\"", false), ("see http://a.example", false), ("http://ä.example", false),
    ("http://a.example/" + String(repeating: "x", count: 2000), false),
  ])
  func knowsWebAddresses(text: String, isOne: Bool) {
    var text = text
    #expect(text.withUTF8 { XLSXText.isWebAddress($0) } == isOne)
  }

  @Test(arguments: [
    ("a@b.example", true), ("a.b+c_d-e@b.example", true), ("a?bcc=c@b.example", false), ("a@b@c", false),
    ("@b.example", false), ("a@", false), ("a%40@b.example", false), ("ä@b.example", false), ("a b@c.example", false),
  ])
  func knowsPlainEmailAddresses(text: String, isOne: Bool) {
    var text = text
    #expect(text.withUTF8 { XLSXText.isPlainEmail($0) } == isOne)
  }
}

@Suite struct ExcelTimeTests {
  @Test(arguments: [
    ("1900-03-01 00:00:00", 61.0), ("2000-02-29 12:00:00", 36585.5), ("2026-11-28 18:00:00", 46354.75),
    ("9999-12-31 00:00:00", 2_958_465.0),
  ])
  func countsDays(text: String, days: Double) {
    var text = text
    #expect(text.withUTF8 { ExcelTime.serial($0) } == days)
  }

  @Test(arguments: [
    "1900-02-28 00:00:00", "0044-03-15 00:00:00 BC", "infinity", "10000-01-01 00:00:00", "2026-13-01 00:00:00",
    "2026-11-28T00:00:00", "",
  ])
  func leavesOtherTextAlone(text: String) {
    var text = text
    #expect(text.withUTF8 { ExcelTime.serial($0) } == nil)
  }
}

@Suite struct PDFTableTests {
  @Test func placesAllRowsAndTheTotals() {
    for rows in [0, 1, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 500, 10_000] {
      let layout = PDFLayout(rows: rows, headHeight: 60, totalsHeight: 37.5)
      let pages = (0..<layout.pages).map { layout.rows(on: $0) }
      #expect(pages.flatMap { Array($0) } == Array(0..<rows))
      for (page, range) in pages.enumerated() {
        let below = page == layout.pages - 1 ? layout.totalsHeight : 0
        let end = layout.top(of: page) + PDFLayout.titleHeight + Double(range.count) * PDFLayout.rowHeight + below
        #expect(end <= PDFLayout.height - PDFLayout.margin - PDFLayout.footHeight + 0.001)
      }
    }
  }

  @Test func keepsOfACellWhatCanBeSeen() {
    var table = PDFTable([.init("a", 10), .init("b", 10)])
    var long = String(repeating: "é", count: 1000)
    long.withUTF8 { table.add($0) }
    table.add(nil)
    #expect(table.rows == 1 && table.text(0, 0) == String(repeating: "é", count: 80) && table.text(0, 1).isEmpty)
  }
}
