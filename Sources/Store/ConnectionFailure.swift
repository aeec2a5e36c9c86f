import CPostgres
import Glibc

/// Why a connection could not be opened, in words for the operator.
enum ConnectionFailure {
  /// The reason if the address requires GSSAPI and the linked libpq does not have it. Its own message would advise to
  /// look for credentials.
  static func impossible(_ connection: OpaquePointer) -> StoreFailure? {
    guard let reason = leadpipe_pq_lacks(), let options = PQconninfo(connection) else { return nil }
    defer { PQconninfoFree(options) }
    var option = options
    while let keyword = option.pointee.keyword {
      if strcmp(keyword, "gssencmode") == 0, let value = option.pointee.val, strcmp(value, "require") == 0 {
        return .unavailable("gssencmode=require is not possible: \(String(cString: reason))")
      }
      option += 1
    }
    return nil
  }

  /// Moves the cause in a message of libpq to its beginning: `database "x" does not exist (connection to server on
  /// socket "…")`.
  static func causeFirst(_ message: String) -> String {
    let parts = message.split(separator: " failed: ", maxSplits: 1)
    guard parts.count == 2, parts[0].hasPrefix("connection to server") else { return message }
    let cause = parts[1].hasPrefix("FATAL:") ? parts[1].dropFirst("FATAL:".count).drop { $0 == " " } : parts[1]
    return "\(cause) (\(parts[0]))"
  }
}
