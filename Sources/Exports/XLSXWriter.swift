import CXlsxWriter

/// Writes an Excel workbook (XLSX) into an `ExportFile`, row by row, with memory that does not grow with their number:
/// libxlsxwriter keeps the rows in temporary files until the end. Numbers, times and flags are cells of their types. Text
/// always is text, never a formula.
package final class XLSXWriter {
  private let library: XLSXLibrary
  private let file: ExportFile
  private let workbook: UnsafeMutablePointer<lxw_workbook>
  private var series: [XLSXSheets] = []

  /// - Parameters:
  ///   - sheets: the names and columns of the sheets; `add` names one by its index.
  ///   - zone: the time zone of the cells with times.
  package init(_ sheets: [(name: String, columns: [ExportColumn])], zone: String, into file: ExportFile)
    throws(ExportFailure)
  {
    let library = try XLSXLibrary()
    self.library = library
    self.file = file
    // libxlsxwriter copies both strings.
    let made = file.folder.withCString { folder in
      var options = lxw_workbook_options(
        constant_memory: 1, tmpdir: UnsafeMutablePointer(mutating: folder), use_zip64: 0)
      return library.functions.pointee.workbook_new_opt(file.path, &options)
    }
    guard let made else { throw ExportFailure(reason: "libxlsxwriter cannot make a workbook") }
    workbook = made
    let formats = try XLSXFormats(library, workbook)
    for (name, columns) in sheets {
      series.append(
        try XLSXSheets(library, workbook, formats, name: name, columns: columns, zone: zone))
    }
  }

  /// Writes the next cell of a row of a sheet, from its text in UTF-8; nil for an empty one.
  package func add(_ text: UnsafeBufferPointer<UInt8>?, to sheet: Int) throws(ExportFailure) {
    try series[sheet].add(text)
  }

  package func add(_ text: String?, to sheet: Int) throws(ExportFailure) {
    guard let text else { return try series[sheet].add(nil) }
    let bytes = Array(text.utf8)
    try bytes.withUnsafeBufferPointer { buffer throws(ExportFailure) in try series[sheet].add(buffer) }
  }

  package func endRow(of sheet: Int) throws(ExportFailure) { try series[sheet].endRow() }

  /// Throws if the system could not store all rows so far.
  package func checkStorage() throws(ExportFailure) {
    for sheets in series { _ = try sheets.written(flush: false) }
  }

  /// Completes the file. Nothing can be written any more, and nothing else of this object may be used.
  package func finish() throws(ExportFailure) {
    var expected: [String: Int] = [:]
    for sheets in series {
      sheets.complete()
      for (number, bytes) in try sheets.written(flush: true) { expected["xl/worksheets/sheet\(number).xml"] = bytes }
    }
    // With room for what surrounds the rows, among it the links.
    if expected.values.contains(where: { $0 > 3_500_000_000 }) { leadpipe_xlsx_allow_large(workbook) }
    try library.check(library.functions.pointee.workbook_close(workbook), "the workbook cannot be written")
    // libxlsxwriter copies the rows from file to file, and does not notice a full disk there.
    let parts = try ZipDirectory(of: file)
    for (name, bytes) in expected {
      guard let size = parts.sizes[name], size >= bytes else {
        throw ExportFailure(reason: "the workbook cannot be written as a whole: is the disk full?")
      }
    }
  }
}
