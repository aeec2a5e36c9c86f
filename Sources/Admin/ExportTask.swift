import Contract
import Exports
import Glibc
import Store
import StoreAccess
import Wire

/// Turns the rows of an export into the body of its reply.
struct ExportTask {
  let rows: ExportRows
  /// The columns of a conversation. That of its messages, if they are asked for, follows them.
  let columns: [ExportColumn]
  let withMessages: Bool
  let zone: String
  let database: Database
  /// True if a person may wait at the terminal.
  let showsProgress: Bool
  let log: Log

  /// Reads all rows, batch by batch, until `use` returns false or throws. What is logged says how many were used.
  func read(_ use: (ExportRows.Batch) throws(Problem) -> Bool) throws(Problem) {
    var progress = ExportProgress(isShown: showsProgress && isatty(2) == 1)
    var count = 0
    var isWanted = true
    var failure: Problem?
    defer {
      progress.end()
      log.info("Exported conversations", ["rows": String(count), "isWanted": String(isWanted)])
    }
    try database.attempt(.exportConversations, log: log) { () throws(StoreFailure) in
      try rows.read { batch in
        do throws(Problem) { isWanted = try use(batch) } catch { failure = error }
        if isWanted, failure == nil { count += batch.rows }
        progress.show(count)
        return isWanted && failure == nil
      }
    }
    if let failure { throw failure }
  }

  /// A problem with a file, whose reason is for the log: it has names of folders.
  func problem(_ failure: ExportFailure) -> Problem {
    log.error("A file of an export cannot be made", ["reason": failure.reason])
    return Problem(.fileNotStored)
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
