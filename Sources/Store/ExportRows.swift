import CPostgres
import Glibc
import Wire

/// The rows of an export, from a cursor in one transaction: one snapshot, whatever is stored meanwhile, and at most two
/// batches in memory. libpq's single-row mode would also do, but a cursor lets the server wait while the reader is
/// slow, and through a transaction pooler both need the one transaction.
package final class ExportRows {
  /// A batch of rows, as libpq has received it.
  package final class Batch {
    private let result: OpaquePointer
    package let rows: Int

    fileprivate init(_ result: OpaquePointer) {
      self.result = result
      rows = Int(PQntuples(result))
    }

    deinit { PQclear(result) }

    fileprivate var bytes: Int { PQresultMemorySize(result) }

    /// Passes on the text of a cell; nil for null. The bytes are valid during the call only.
    package func withCell<Failure>(
      _ row: Int, _ column: Int, _ body: (UnsafeBufferPointer<UInt8>?) throws(Failure) -> Void
    ) throws(Failure) {
      let (row, column) = (Int32(row), Int32(column))
      guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else {
        return try body(nil)
      }
      let count = Int(PQgetlength(result, row, column))
      try value.withMemoryRebound(to: UInt8.self, capacity: count) { bytes throws(Failure) in
        try body(UnsafeBufferPointer(start: bytes, count: count))
      }
    }
  }

  private let database: Database
  private let connection: OpaquePointer
  private let deadline: Instant
  /// How many rows the next batch has: rows can be long, so it follows from the size of the last one.
  private var size = 100
  private static let largestSize = 1000
  private static let fittingBytes = 131_072...524_288
  /// Read before the caller gets this object, so that the first error comes before the first row.
  private var batch: Batch

  fileprivate init(of database: Database, _ connection: OpaquePointer, deadline: Instant) throws(StoreFailure) {
    (self.database, self.connection, self.deadline) = (database, connection, deadline)
    let size = size
    try Self.fetch(size, database, connection, deadline)
    batch = try Self.receive(database, connection, deadline)
  }

  /// Passes on all rows, batch by batch, until `use` returns false, and ends the transaction. The server fetches the
  /// next batch while one is used.
  package func read(_ use: (Batch) -> Bool) throws(StoreFailure) {
    while batch.rows > 0 {
      if batch.bytes < Self.fittingBytes.lowerBound { size = min(size * 2, Self.largestSize) }
      if batch.bytes > Self.fittingBytes.upperBound { size = max(size / 2, 1) }
      try Self.fetch(size, database, connection, deadline)
      // The server ends the query when the connection closes.
      guard use(batch) else { return database.close() }
      batch = try Self.receive(database, connection, deadline)
    }
    try database.run(script: "commit", deadline: deadline)
  }

  private static func fetch(
    _ size: Int, _ database: Database, _ connection: OpaquePointer, _ deadline: Instant
  ) throws(StoreFailure) {
    guard PQsendQuery(connection, "fetch forward \(size) from leadpipe_export") == 1 else {
      throw database.broken(connection)
    }
    while case let flushed = PQflush(connection), flushed != 0 {
      guard flushed > 0 else { throw database.broken(connection) }
      try database.wait(connection, POLLIN | POLLOUT, deadline)
    }
  }

  private static func receive(
    _ database: Database, _ connection: OpaquePointer, _ deadline: Instant
  ) throws(StoreFailure) -> Batch {
    var batch: Batch?
    var failure: StoreFailure?
    while true {
      while PQisBusy(connection) == 1 { try database.wait(connection, POLLIN, deadline) }
      guard let result = PQgetResult(connection) else { break }
      guard PQresultStatus(result) == PGRES_TUPLES_OK else {
        failure = failure ?? QueryResult.refusal(result)
        PQclear(result)
        continue
      }
      batch = Batch(result)
    }
    if let failure {
      database.close()
      throw failure
    }
    guard let batch else { throw database.broken(connection) }
    return batch
  }
}

extension Database {
  /// Opens the cursor of an export, in a transaction of its own. Until the last row has been read, this database must
  /// not be used for anything else.
  package func openExport(_ argument: JSON, deadline: Instant) throws(StoreFailure) -> ExportRows {
    let connection = try open(deadline: deadline)
    let text = argument.text
    guard let literal = PQescapeLiteral(connection, text, text.utf8.count) else { throw broken(connection) }
    defer { PQfreemem(literal) }
    // A client that leaves while the server sorts must not have to wait for the first row to be noticed.
    let script = """
      begin; set local transaction_read_only = off; \(role.map { "set local role \($0); " } ?? "")\
      set local statement_timeout = '\(statementSeconds)s'; set local lock_timeout = \(lockMilliseconds); \
      set local idle_in_transaction_session_timeout = '\(statementSeconds)s'; \
      set local client_connection_check_interval = 500; \
      select public.\(Function.exportConversations.rawValue)(\(String(cString: literal))::jsonb)
      """
    guard PQsendQuery(connection, script) == 1 else { throw broken(connection) }
    let outcome = try results(of: connection, deadline: deadline)
    if let failure = outcome.failure {
      close()
      throw failure
    }
    return try ExportRows(of: self, connection, deadline: deadline)
  }
}
