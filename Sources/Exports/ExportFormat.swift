/// The file formats that an export can have.
package enum ExportFormat: String, Sendable, CaseIterable {
  case csv, xlsx, pdf

  package var mediaType: String {
    switch self {
    case .csv: "text/csv"
    case .xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    case .pdf: "application/pdf"
    }
  }

  /// The Content-Type of a file.
  package var contentType: String {
    switch self {
    case .csv: "text/csv; charset=utf-8; header=present"
    case .xlsx, .pdf: mediaType
    }
  }

  /// True if it is not text that a terminal can show.
  package var isBinary: Bool { self != .csv }

  /// Why this format cannot be written here; nil if it can. Loads the format's library, and looks for fonts.
  package var obstacle: String? {
    do throws(ExportFailure) {
      switch self {
      case .csv: break
      case .xlsx: _ = try XLSXLibrary()
      case .pdf: _ = try PDFCanvas(title: "")
      }
      return nil
    } catch { return error.reason }
  }
}
