/// Where things stand on A4 pages in landscape, in points, and how many pages a table needs.
struct PDFLayout: Equatable {
  static let width = 841.89
  static let height = 595.28
  static let margin = 20.0
  static let rowHeight = 12.5
  /// The row with the titles of the columns, which each page repeats.
  static let titleHeight = 16.0
  static let footHeight = 18.0

  let rows: Int
  /// The height of the text above the table on the first page.
  let headHeight: Double
  /// The height of what stands below its last row.
  let totalsHeight: Double

  /// The number of rows that a page has room for.
  private func room(on page: Int) -> Int {
    let height = Self.height - 2 * Self.margin - Self.titleHeight - Self.footHeight - (page == 0 ? headHeight : 0)
    return max(Int(height / Self.rowHeight), 1)
  }

  /// The rows of a page. The last page may have none, only the totals.
  func rows(on page: Int) -> Range<Int> {
    let start = page == 0 ? 0 : room(on: 0) + (page - 1) * room(on: 1)
    return min(start, rows)..<min(start + room(on: page), rows)
  }

  var pages: Int {
    let others = max(rows - room(on: 0), 0)
    let pages = 1 + (others + room(on: 1) - 1) / room(on: 1)
    let last = pages - 1
    let left = Double(room(on: last) - rows(on: last).count) * Self.rowHeight
    return left < totalsHeight ? pages + 1 : pages
  }

  /// The top of the table's titles on a page.
  func top(of page: Int) -> Double { Self.margin + (page == 0 ? headHeight : 0) }
}
