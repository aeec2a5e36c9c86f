import Contract
import Exports
import Store

extension ExportTask {
  /// Returns the body in a format. A CSV is written while the rows are read. Other formats need all rows first: so a
  /// failure to read them is a problem, and not a file that is cut off.
  func body(_ format: ExportFormat, folder: String, words: ExportWords) throws(Problem) -> FollowingBody {
    switch format {
    case .csv: csv()
    case .xlsx: try xlsx(folder)
    case .pdf: try pdf(words)
    }
  }

  private func csv() -> FollowingBody {
    FollowingBody { send throws(Problem) in
      var writer = CSVWriter()
      let columns = columns + (withMessages ? [ExportColumn("messages")] : [])
      writer.begin(columns, zone: zone)
      try read { batch throws(Problem) in
        for row in 0..<batch.rows {
          for (index, column) in columns.enumerated() { batch.withCell(row, index) { writer.add($0, column.kind) } }
          writer.endRow()
        }
        return send(writer.take())
      }
      // The header row of a file without rows.
      _ = send(writer.take())
    }
  }
}
