import CXlsxWriter

/// A table in a workbook: one sheet, and further ones when Excel's limit of rows is reached. Each has the headings in a
/// row that stays in view, and a filter.
final class XLSXSheets {
  /// Rows of a sheet, with the headings.
  private static let rowLimit: UInt32 = 1_048_576
  /// Links in all sheets of a table. Excel's limit is 65,530 in a sheet, but libxlsxwriter keeps each of them in memory
  /// until the end, with two kilobytes.
  private static let linkLimit = 5_000

  private let library: XLSXLibrary
  private let workbook: UnsafeMutablePointer<lxw_workbook>
  private let formats: XLSXFormats
  private let name: String
  private let columns: [ExportColumn]
  private let zone: String
  /// Each with its number in the workbook, which counts the sheets of all tables.
  private var sheets: [(sheet: UnsafeMutablePointer<lxw_worksheet>, number: Int, rows: UInt32)] = []
  private var row: UInt32 = 0
  private var column: UInt16 = 0
  private var links = 0
  private var buffer = XLSXText()

  init(
    _ library: XLSXLibrary, _ workbook: UnsafeMutablePointer<lxw_workbook>, _ formats: XLSXFormats, name: String,
    columns: [ExportColumn], zone: String
  ) throws(ExportFailure) {
    (self.library, self.workbook, self.formats) = (library, workbook, formats)
    (self.name, self.columns, self.zone) = (name, columns, zone)
    try addSheet()
  }

  private var sheet: UnsafeMutablePointer<lxw_worksheet> { sheets[sheets.count - 1].sheet }

  func add(_ text: UnsafeBufferPointer<UInt8>?) throws(ExportFailure) {
    let kind = columns[Int(column)].kind
    defer { column += 1 }
    guard let text, !text.isEmpty else { return }
    let functions = library.functions.pointee
    switch kind {
    case .number:
      if let number = Double(String(decoding: text, as: UTF8.self)), number.isFinite {
        return try check(functions.worksheet_write_number(sheet, row, column, number, nil))
      }
    case .time:
      if let serial = ExcelTime.serial(text) {
        return try check(functions.worksheet_write_number(sheet, row, column, serial, formats.time))
      }
    case .flag:
      return try check(functions.worksheet_write_boolean(sheet, row, column, text[0] == UInt8(ascii: "t") ? 1 : 0, nil))
    case .email where links < Self.linkLimit && XLSXText.isPlainEmail(text) && !FormulaGuard.guards(text):
      return try addLink("mailto:", text)
    case .link where links < Self.linkLimit && XLSXText.isWebAddress(text): return try addLink("", text)
    case .email, .link, .text: break
    }
    try addText(text)
  }

  func endRow() throws(ExportFailure) {
    row += 1
    column = 0
    sheets[sheets.count - 1].rows = row
    if row == Self.rowLimit { try addSheet() }
  }

  /// Sets what is known only at the end: the area of the filters.
  func complete() {
    for (sheet, _, rows) in sheets {
      _ = library.functions.pointee.worksheet_autofilter(sheet, 0, 0, max(rows, 1) - 1, UInt16(columns.count - 1))
    }
  }

  /// The bytes of the rows of each sheet, by its number in the workbook. Throws if any could not be stored.
  func written(flush: Bool) throws(ExportFailure) -> [(number: Int, bytes: Int)] {
    var all: [(number: Int, bytes: Int)] = []
    for (sheet, number, _) in sheets {
      let bytes = leadpipe_xlsx_written(sheet, flush ? 1 : 0)
      guard bytes >= 0 else { throw ExportFailure(errno: "the rows cannot be stored") }
      all.append((number, bytes))
    }
    return all
  }

  private func addText(_ text: UnsafeBufferPointer<UInt8>) throws(ExportFailure) {
    buffer.set(text)
    let format = FormulaGuard.guards(text) ? formats.text : nil
    try check(
      buffer.bytes.withUnsafeBytes { bytes in
        library.functions.pointee.worksheet_write_string(
          sheet, row, column, bytes.assumingMemoryBound(to: CChar.self).baseAddress, format)
      })
  }

  private func addLink(_ scheme: String, _ text: UnsafeBufferPointer<UInt8>) throws(ExportFailure) {
    links += 1
    let shown = String(decoding: text, as: UTF8.self)
    try check(library.functions.pointee.worksheet_write_url_opt(sheet, row, column, scheme + shown, nil, shown, nil))
  }

  private func check(_ error: lxw_error) throws(ExportFailure) { try library.check(error, "a cell cannot be written") }

  private func addSheet() throws(ExportFailure) {
    let functions = library.functions.pointee
    let title = sheets.isEmpty ? name : "\(name) \(sheets.count + 1)"
    guard let made = functions.workbook_add_worksheet(workbook, title) else {
      throw ExportFailure(reason: "the sheet \(title) cannot be made")
    }
    sheets.append((made, Int(made.pointee.index) + 1, 0))
    (row, column) = (0, 0)
    functions.worksheet_freeze_panes(made, 1, 0)
    for (index, column) in columns.enumerated() {
      let place = UInt16(index)
      let heading = column.heading(zone: zone)
      try check(functions.worksheet_set_column(made, place, place, max(column.width, Double(heading.count) + 4), nil))
      try check(functions.worksheet_write_string(made, 0, place, heading, formats.heading))
    }
    try endRow()
  }
}

extension ExportColumn {
  /// The width in a sheet, in characters.
  fileprivate var width: Double {
    switch kind {
    case .number, .flag: 10
    case .time: 20
    case .text: 18
    case .email, .link: 28
    }
  }
}
