import CPostgres

/// Reads what libpq has received: rows, notifications and errors.
enum QueryResult {
  static func rows(_ result: OpaquePointer) -> [[String?]] {
    let columns = PQnfields(result)
    return (0..<PQntuples(result)).map { row in
      (0..<columns).map { column in
        PQgetisnull(result, row, column) == 1 ? nil : String(cString: PQgetvalue(result, row, column))
      }
    }
  }

  /// Returns the notifications that have already been read from the socket.
  static func notifications(_ connection: OpaquePointer) -> [String] {
    var texts: [String] = []
    while let notification = PQnotifies(connection) {
      texts.append(String(cString: notification.pointee.extra))
      PQfreemem(notification)
    }
    return texts
  }

  static func refusal(_ result: OpaquePointer) -> StoreFailure {
    .refused(sqlState: field("C", result), message: field("M", result), detail: field("D", result))
  }

  /// Returns the message with which a server or a pooler ends the connection; nil for any other error. Unlike the
  /// message of an error, it has nothing of the statement.
  static func lastWords(_ result: OpaquePointer) -> String? {
    // pgbouncer sends only the severity that servers translate.
    [field("V", result), field("S", result)].contains("FATAL") ? field("M", result) : nil
  }

  private static func field(_ code: Unicode.Scalar, _ result: OpaquePointer) -> String {
    PQresultErrorField(result, Int32(code.value)).map { String(cString: $0) } ?? ""
  }
}
