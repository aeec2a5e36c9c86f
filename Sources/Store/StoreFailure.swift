import Wire

/// Why the database did not give a result.
package enum StoreFailure: Error, Sendable, Equatable {
  /// No connection, or it broke: libpq's own words, without what the statement held.
  case away(String)
  case timedOut
  /// The server rejected the statement. The message and its detail may repeat what was sent. They are for the operator's
  /// own commands, not for logs and replies.
  case refused(sqlState: String, message: String, detail: String = "")

  /// The function returned nothing, or something of another version.
  package static let noAnswer = StoreFailure.refused(sqlState: "22032", message: "no answer of this version")

  /// The failure in words that a log may have.
  package var brief: String {
    switch self {
    case .away(let reason): reason
    case .timedOut: "no answer in time"
    case .refused(let state, _, _): "sqlstate=\(state)"
    }
  }

  /// What a refusal means for its caller, by the classes of SQLSTATEs in PostgreSQL's Appendix A.
  package enum Kind: Sendable, Equatable {
    /// The database is away, is ending, or has no resources left.
    case unavailable
    case tooSlow
    /// Another transaction held a lock for too long.
    case locked
    /// The function is not there, or the login may not call it.
    case notMigrated
    /// One of our functions rejected the request, with an error of the catalogue: its code and the arguments of its text.
    case answered(code: String, arguments: JSON)
    case refused
  }

  package var kind: Kind {
    switch self {
    case .away: .unavailable
    case .timedOut, .refused("57014", _, _): .tooSlow
    case .refused(let state, let code, let arguments) where state.hasPrefix("LP"):
      .answered(code: code, arguments: (try? JSON(reading: arguments)) ?? [:])
    case .refused("55P03", _, _): .locked
    case .refused("42883", _, _), .refused("42501", _, _), .refused("42P01", _, _): .notMigrated
    // Connection, resources, operator's intervention, system error, read-only standby.
    case .refused(let state, _, _): ["08", "53", "57", "58", "25"].contains(state.prefix(2)) ? .unavailable : .refused
    }
  }
}
