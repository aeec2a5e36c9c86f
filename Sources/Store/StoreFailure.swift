import Wire

/// Why a database call returned no result.
package enum StoreFailure: Error, Sendable, Equatable {
  /// There is no connection, or it broke. The value is the message of libpq or libcurl, or says what PostgREST replied:
  /// it contains nothing of the statement.
  case unavailable(String)
  case timedOut
  /// The server refused the statement. The message and its detail may contain data of the statement: they are for the
  /// operator's own commands, not for logs and replies.
  case refused(sqlState: String, message: String, detail: String = "")

  /// The function returned nothing, or a result of another version.
  package static let noAnswer = StoreFailure.refused(
    sqlState: "22032", message: "the function returned no result of this version")

  /// A description of the failure that is safe to log.
  package var brief: String {
    switch self {
    case .unavailable(let reason): reason
    case .timedOut: "no response in time"
    case .refused(let state, _, _): "sqlstate=\(state)"
    }
  }

  /// True if the server takes no writes: it is a standby, perhaps since a moment ago, after another one was promoted.
  var isOfStandby: Bool {
    guard case .refused(let state, let message, _) = self else { return false }
    return state == "25006" || state == "0A000" && message.contains("during recovery")
  }

  /// What a failure means for the caller, by the SQLSTATE classes in PostgreSQL's Appendix A.
  package enum Kind: Sendable, Equatable {
    /// The database is unavailable, shutting down or out of resources.
    case unavailable
    /// All sessions of a pooler were in use for as long as it lets a statement wait. The statement did not run.
    case noFreeSession
    case tooSlow
    /// Another transaction held a lock for too long.
    case locked
    /// The function does not exist, or the login is not allowed to call it.
    case notMigrated
    /// One of Leadpipe's functions refused the request, with a code of the catalogue and the arguments of its text.
    case answered(code: String, arguments: JSON)
    case refused
  }

  package var kind: Kind {
    switch self {
    case .unavailable(let reason) where Self.waits.contains { reason.contains($0) }: .noFreeSession
    case .unavailable: .unavailable
    case .timedOut, .refused("57014", _, _): .tooSlow
    case .refused(let state, let code, let arguments) where state.hasPrefix("LP"):
      .answered(code: code, arguments: (try? JSON(reading: arguments)) ?? [:])
    case .refused("55P03", _, _): .locked
    case .refused("42883", _, _), .refused("42501", _, _), .refused("42P01", _, _): .notMigrated
    // The role of the class does not exist.
    case .refused("22023", let message, _) where message.hasPrefix("role "): .notMigrated
    case _ where isOfStandby: .unavailable
    // Connection exception, insufficient resources, operator intervention, system error, read-only standby.
    case .refused(let state, _, _): ["08", "53", "57", "58", "25"].contains(state.prefix(2)) ? .unavailable : .refused
    }
  }

  /// What pgbouncer, Supavisor and PostgREST say when no session became free.
  private static let waits = [
    "query_wait_timeout", "ECHECKOUTTIMEOUT", "EMAXCONN", "no more connections allowed", "PGRST003", "HTTP 429",
  ]
}
