import Contract
import Exports
import Store
import Wire

extension ExportTask {
  /// The columns of the sheet with the messages, in the order of the members of their JSON. The id comes before them.
  private static let messageColumns: [ExportColumn] = [
    .init("conversationId"), .init("timestamp", .time), .init("sender"), .init("messageText", .link),
  ]

  /// Writes a workbook into a temporary file. The body is that file.
  func xlsx(_ folder: String) throws(Problem) -> FollowingBody {
    let file: ExportFile
    let writer: XLSXWriter
    do throws(ExportFailure) {
      file = try ExportFile(in: folder)
      writer = try XLSXWriter(sheets, zone: zone, into: file)
    } catch { throw problem(error) }
    try read { batch throws(Problem) in
      do throws(ExportFailure) { try write(batch, to: writer) } catch { throw problem(error) }
      return true
    }
    do throws(ExportFailure) { try writer.finish() } catch { throw problem(error) }
    return FollowingBody { send throws(Problem) in
      var offset = 0
      while true {
        let piece: [UInt8]
        do throws(ExportFailure) { piece = try file.read(262_144, at: offset) } catch { throw problem(error) }
        guard !piece.isEmpty, send(piece) else { return }
        offset += piece.count
      }
    }
  }

  private var sheets: [(name: String, columns: [ExportColumn])] {
    [("Leads", columns)] + (withMessages ? [("Messages", Self.messageColumns)] : [])
  }

  private func write(_ batch: ExportRows.Batch, to writer: XLSXWriter) throws(ExportFailure) {
    for row in 0..<batch.rows {
      for index in columns.indices {
        try batch.withCell(row, index) { text throws(ExportFailure) in try writer.add(text, to: 0) }
      }
      try writer.endRow(of: 0)
      if withMessages { try writeMessages(of: row, batch, to: writer) }
    }
    try writer.checkStorage()
  }

  /// Writes the messages of a conversation, which are one cell of the cursor: a JSON array with an array for each.
  private func writeMessages(of row: Int, _ batch: ExportRows.Batch, to writer: XLSXWriter) throws(ExportFailure) {
    var messages: [JSON] = []
    try batch.withCell(row, columns.count) { text throws(ExportFailure) in
      guard let text else { return }
      guard let list = (try? JSON(reading: Array(text)))?.array else {
        throw ExportFailure(reason: "the messages of a conversation cannot be read")
      }
      messages = list
    }
    for message in messages {
      try batch.withCell(row, 0) { text throws(ExportFailure) in try writer.add(text, to: 1) }
      for member in message.array ?? [] {
        try writer.add(member.string, to: 1)
      }
      try writer.endRow(of: 1)
    }
  }
}
