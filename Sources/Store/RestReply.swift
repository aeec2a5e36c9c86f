import Wire

/// The reply to the call of a function, from PostgREST or from a proxy in front of it.
struct RestReply {
  let status: Int
  let body: [UInt8]

  /// The result of the function. Throws what the reply means otherwise.
  func result() throws(StoreFailure) -> JSON {
    guard 200...299 ~= status else { throw failure }
    // As from SQL, null is no result.
    guard let result = try? JSON(readingReply: body), !result.isNull else { throw .noAnswer }
    return result
  }

  /// What an error means. An error of the database has its SQLSTATE as its code, and keeps the meaning that it has in a
  /// session; the HTTP status says less. PostgREST's own codes and replies that are not PostgREST's say that the
  /// function was not called, or that it is unknown what became of the call.
  var failure: StoreFailure {
    let document = try? JSON(reading: body)
    let code = document?["code"]?.string ?? ""
    if Self.isSQLState(code) {
      return .refused(
        sqlState: code, message: document?["message"]?.string ?? "", detail: document?["details"]?.string ?? "")
    }
    switch code {
    // The function is unknown, perhaps only to PostgREST's cache, or there are two of that name.
    case "PGRST202", "PGRST203": return .refused(sqlState: "42883", message: "PostgREST reports \(code)")
    case "PGRST003": return .unavailable("PGRST003: PostgREST has no free database connection")
    case "PGRST000", "PGRST001", "PGRST002": return .unavailable("PostgREST has no database connection (\(code))")
    case "PGRST106": return .unavailable("the project does not expose the schema public by REST (PGRST106)")
    case let code where code.hasPrefix("PGRST3"): return .unavailable("\(Self.refusedKey) (HTTP \(status), \(code))")
    case let code where code.hasPrefix("PGRST"): return .unavailable("PostgREST reports \(code) (HTTP \(status))")
    default: break
    }
    switch status {
    case 401, 403: return .unavailable("\(Self.refusedKey) (HTTP \(status))")
    case 404: return .unavailable("there is no PostgREST at SUPABASE_URL (HTTP 404)")
    case 408, 504, 524: return .timedOut
    case 413: return .refused(sqlState: "54000", message: "the project refuses a request of this size (HTTP 413)")
    case 429: return .unavailable("HTTP 429: the project limits requests")
    default: return .unavailable("the project replied HTTP \(status)")
    }
  }

  /// Five digits and capital letters: the codes of PostgreSQL and of our functions.
  private static func isSQLState(_ code: String) -> Bool {
    code.utf8.count == 5 && code.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 }
  }

  private static let refusedKey = "the project refused SUPABASE_SERVICE_ROLE_KEY"
}
