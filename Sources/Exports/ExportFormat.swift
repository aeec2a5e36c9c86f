/// The file formats that an export can have. A new one is a case here and a writer like `CSVWriter`.
package enum ExportFormat: String, Sendable, CaseIterable {
  case csv

  /// Formats that the interface names and this version does not write.
  package static let planned = ["xlsx", "pdf"]

  package var mediaType: String {
    switch self {
    case .csv: "text/csv"
    }
  }

  /// The Content-Type of a file.
  package var contentType: String {
    switch self {
    case .csv: "text/csv; charset=utf-8; header=present"
    }
  }
}
