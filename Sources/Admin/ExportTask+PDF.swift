import Contract
import Exports
import Store
import Wire

extension ExportTask {
  /// Reads all rows, then draws them page by page.
  func pdf(_ words: ExportWords) throws(Problem) -> FollowingBody {
    var table = PDFTable(ExportedConversation.printed.map(\.column))
    let shown = ExportedConversation.printed.compactMap { printed in columns.firstIndex { $0.name == printed.name } }
    var totals = ExportTotals(columns)
    try read { batch throws(Problem) in
      guard table.rows + batch.rows <= PDFTable.limit else {
        throw Problem(.tooManyRows, ["max": PDFTable.limit])
      }
      for row in 0..<batch.rows {
        for index in shown { batch.withCell(row, index) { table.add($0) } }
        totals.add(batch, row)
      }
      return true
    }
    let writer: PDFWriter
    do throws(ExportFailure) { writer = try PDFWriter(table, words.complete(totals.lines)) } catch {
      throw problem(error)
    }
    return FollowingBody { send throws(Problem) in
      do throws(ExportFailure) {
        while try writer.drawPage() { if !send(writer.take()) { return } }
        _ = send(writer.take())
      } catch { throw problem(error) }
    }
  }
}
