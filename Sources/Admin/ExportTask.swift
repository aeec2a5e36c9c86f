import Contract
import Exports
import Glibc
import Store
import StoreAccess
import Wire

/// Writes the rows of an export as a file, piece by piece.
struct ExportTask {
  let rows: ExportRows
  let columns: [ExportColumn]
  let zone: String
  let database: Database
  /// True if a person may wait at the terminal.
  let showsProgress: Bool
  let log: Log

  /// The body of the reply. What is logged says how many rows have left this process.
  func body() -> FollowingBody {
    FollowingBody { send throws(Problem) in
      var writer = CSVWriter()
      writer.begin(columns, zone: zone)
      var progress = ExportProgress(isShown: showsProgress && isatty(2) == 1)
      var count = 0
      var isWanted = true
      defer {
        progress.end()
        log.info("Exported conversations", ["rows": String(count), "isWanted": String(isWanted)])
      }
      try database.attempt(.exportConversations, log: log) { () throws(StoreFailure) in
        try rows.read { batch in
          write(batch, to: &writer)
          isWanted = send(writer.take())
          if isWanted { count += batch.rows }
          progress.show(count)
          return isWanted
        }
      }
      // The header row of a file without rows.
      if isWanted { isWanted = send(writer.take()) }
    }
  }

  private func write(_ batch: ExportRows.Batch, to writer: inout CSVWriter) {
    for row in 0..<batch.rows {
      for (index, column) in columns.enumerated() { batch.withCell(row, index) { writer.add($0, column.kind) } }
      writer.endRow()
    }
  }
}

/// The number of rows so far, on a line of the terminal that is rewritten.
struct ExportProgress {
  let isShown: Bool
  private var shownAt = Instant.steady

  init(isShown: Bool) { self.isShown = isShown }

  mutating func show(_ count: Int) {
    guard isShown, Instant.steady.milliseconds - shownAt.milliseconds >= 200 else { return }
    shownAt = .steady
    write("\r\(count) rows")
  }

  func end() { if isShown { write("\r\u{1B}[K") } }

  private func write(_ text: String) {
    var text = text
    text.withUTF8 { _ = Glibc.write(2, $0.baseAddress, $0.count) }
  }
}
