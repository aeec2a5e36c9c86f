import CXlsxWriter

/// The formats of the cells of a workbook.
struct XLSXFormats {
  typealias Format = UnsafeMutablePointer<lxw_format>

  let heading: Format
  let time: Format
  /// For text that would be a formula if it were typed: it stays text when somebody edits the cell.
  let text: Format

  init(_ library: XLSXLibrary, _ workbook: UnsafeMutablePointer<lxw_workbook>) throws(ExportFailure) {
    let functions = library.functions.pointee
    guard let heading = functions.workbook_add_format(workbook), let time = functions.workbook_add_format(workbook),
      let text = functions.workbook_add_format(workbook)
    else { throw ExportFailure(reason: "libxlsxwriter cannot make a format") }
    functions.format_set_bold(heading)
    functions.format_set_num_format(time, "yyyy-mm-dd hh:mm:ss")
    functions.format_set_num_format(text, "@")
    (self.heading, self.time, self.text) = (heading, time, text)
  }
}
