import Exports
import Testing

@Suite struct CSVWriterTests {
  private func text(_ cells: [(String?, ExportColumn.Kind)]) -> String {
    var writer = CSVWriter()
    for (cell, kind) in cells {
      guard var cell else {
        writer.add(nil, kind)
        continue
      }
      cell.withUTF8 { writer.add($0, kind) }
    }
    writer.endRow()
    return String(decoding: writer.take(), as: UTF8.self)
  }

  @Test func beginsWithAMarkAndTheNamesOfItsColumns() {
    var writer = CSVWriter()
    writer.begin([.init("id"), .init("createdAt", .time), .init("leadScore", .number)], zone: "Asia/Dubai")
    #expect(writer.take() == [0xEF, 0xBB, 0xBF] + Array("id,createdAt (Asia/Dubai),leadScore\r\n".utf8))
    #expect(writer.take().isEmpty)
  }

  @Test(arguments: [
    ("plain", "plain"), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\""), ("two\nlines", "\"two\nlines\""),
    ("a;b", "\"a;b\""), (" padded", "\" padded\""), ("سارة أحمد", "سارة أحمد"), ("two\r\nlines", "\"two\r\nlines\""),
  ])
  func quotesWhatRFC4180Asks(cell: String, written: String) {
    #expect(text([(cell, .text)]) == written + "\r\n")
  }

  @Test(arguments: [
    "=1+1", "+971501234567", "-2", "@cmd", "'own", "＝1+1", "＋1", "－1", "＠a", "=HYPERLINK(1)",
  ])
  func putsAnApostropheBeforeAFormula(cell: String) {
    #expect(text([(cell, .text)]) == "'\(cell)\r\n")
  }

  @Test(arguments: ["\t=1", "\r=1", "\n=1", " =1", "\"=1", "  +1", " ＝1"])
  func looksBehindSpacesAndQuotes(cell: String) {
    let quoted = cell.replacing("\"", with: "\"\"")
    #expect(text([(cell, .text)]) == "\"'\(quoted)\"\r\n")
  }

  @Test(arguments: ["a=b", "1-2", "a@b.example", "٩٧١", "（"])
  func leavesOtherTextAlone(cell: String) {
    #expect(text([(cell, .text)]) == "\(cell)\r\n")
  }

  @Test func leavesNumbersAndTimesAlone() {
    let row = text([("-5", .number), (nil, .text), ("", .text), ("2026-11-28 21:30:00", .time), ("true", .flag)])
    #expect(row == "-5,,,2026-11-28 21:30:00,true\r\n")
  }
}
