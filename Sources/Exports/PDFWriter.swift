/// Writes a table as a PDF: A4 in landscape, the titles of the columns and the number on each page, text in any script in
/// its own direction. The caller takes the bytes away page by page.
package final class PDFWriter {
  /// The words around a table.
  package struct Words: Sendable {
    /// Above the table: a title and lines about it.
    package let title: String
    package let lines: [String]
    /// Below its last row.
    package let totals: [String]

    package init(title: String, lines: [String], totals: [String]) {
      (self.title, self.lines, self.totals) = (title, lines, totals)
    }
  }

  private let table: PDFTable
  private let words: Words
  private let canvas: PDFCanvas
  private let layout: PDFLayout
  private var page = 0

  /// Throws if a library is missing, or if no font is installed for Latin and Arabic letters.
  package init(_ table: PDFTable, _ words: Words) throws(ExportFailure) {
    (self.table, self.words) = (table, words)
    let canvas = try PDFCanvas(title: words.title)
    self.canvas = canvas
    let width = PDFLayout.width - 2 * PDFLayout.margin
    let lines = words.lines.map { canvas.height(of: $0, .small, width: width, lines: 4) + 2 }
    layout = PDFLayout(
      rows: table.rows, headHeight: 24 + lines.reduce(0, +) + 6,
      totalsHeight: Double(words.totals.count + 1) * PDFLayout.rowHeight)
  }

  /// Draws the next page. False if there is none: then the file is complete once `take` was called.
  package func drawPage() throws(ExportFailure) -> Bool {
    guard page < layout.pages else {
      try canvas.finish()
      return false
    }
    if page == 0 { drawHead() }
    var y = layout.top(of: page)
    drawTitles(y)
    y += PDFLayout.titleHeight
    for row in layout.rows(on: page) {
      drawRow(row, y)
      y += PDFLayout.rowHeight
    }
    if page == layout.pages - 1 { drawTotals(y) }
    let foot = PDFLayout.height - PDFLayout.margin - 10
    let width = PDFLayout.width - 2 * PDFLayout.margin
    canvas.text(
      "Page \(page + 1) of \(layout.pages)", .small, x: PDFLayout.margin, y: foot, width: width, isRight: true)
    try canvas.endPage()
    page += 1
    return true
  }

  /// Returns what has been written since the last call.
  package func take() -> [UInt8] { canvas.take() }

  private func drawHead() {
    let width = PDFLayout.width - 2 * PDFLayout.margin
    var y = PDFLayout.margin
    canvas.text(words.title, .title, x: PDFLayout.margin, y: y, width: width)
    y += 24
    for line in words.lines {
      canvas.text(line, .small, x: PDFLayout.margin, y: y, width: width, lines: 4)
      y += canvas.height(of: line, .small, width: width, lines: 4) + 2
    }
  }

  private func drawTitles(_ y: Double) {
    canvas.bar(
      x: PDFLayout.margin, y: y, width: PDFLayout.width - 2 * PDFLayout.margin, height: PDFLayout.titleHeight - 2)
    eachColumn { column, x, width in
      canvas.text(
        table.columns[column].title, .bold, x: x, y: y + 2, width: width, isRight: table.columns[column].isNumber)
    }
  }

  private func drawRow(_ row: Int, _ y: Double) {
    eachColumn { column, x, width in
      let text = table.text(row, column)
      if text.isEmpty { return }
      canvas.text(text, .cell, x: x, y: y, width: width, isRight: table.columns[column].isNumber)
    }
    canvas.line(x: PDFLayout.margin, y: y + PDFLayout.rowHeight - 1.5, width: PDFLayout.width - 2 * PDFLayout.margin)
  }

  private func drawTotals(_ y: Double) {
    var y = y + PDFLayout.rowHeight / 2
    for line in words.totals {
      canvas.text(line, .bold, x: PDFLayout.margin, y: y, width: PDFLayout.width - 2 * PDFLayout.margin)
      y += PDFLayout.rowHeight
    }
  }

  /// Passes on each column with the left edge and the width of its text.
  private func eachColumn(_ body: (Int, Double, Double) -> Void) {
    var x = PDFLayout.margin
    for (index, column) in table.columns.enumerated() {
      body(index, x + 2, column.width - 4)
      x += column.width
    }
  }
}
