import Glibc
import Wire

extension Database {
  /// The SQLSTATEs after which a call is retried: a serialisation failure, a deadlock, and LPTRY, with which Leadpipe's
  /// functions request a retry. They do not raise 40001 themselves, because PostgREST retries it endlessly.
  private static let repeated = ["40001", "40P01", "LPTRY"]

  /// What pgbouncer says for a moment after the server has refused its login, as it does while it starts. The statement
  /// was not sent.
  private static let loginHasFailed = "server_login_retry"
  /// Microseconds: a little longer than the pooler of `leadpipe up` says so.
  private static let loginRetry: UInt32 = 250_000

  /// A column does not exist. While migrations make the event tables again, a capture may find a table of one version
  /// and a function of another, until the next migration. Nothing was stored.
  private static let betweenMigrations = "42703"
  /// How long a capture tries again, in milliseconds, and after which pause, in microseconds.
  private static let migrationMilliseconds = 3000
  private static let migrationPause: UInt32 = 50_000

  /// Calls a function, in a session or through the project's REST interface. Retries after the SQLSTATEs above until
  /// the deadline: the transaction was rolled back. Retries once after a pooler's failed login, and a capture also
  /// while migrations run. No other call is repeated.
  package func call(_ function: Function, _ argument: JSON, deadline: Instant) throws(StoreFailure) -> JSON {
    let parameter = isRemote ? [] : argument.bytes + [0]
    var mayWait = deadline > Instant.steady.adding(seconds: 1)
    let migratedBy = min(deadline, Instant.steady.adding(milliseconds: Self.migrationMilliseconds))
    while true {
      do throws(StoreFailure) {
        if let rest { return try rest.call(function, argument, deadline: deadline) }
        guard let text = try query(function.statement, [parameter], deadline: deadline).first?.first ?? nil else {
          throw .noAnswer
        }
        do { return try JSON(readingReply: Array(text.utf8)) } catch { throw .noAnswer }
      } catch {
        if case .refused(let state, _, _) = error, Self.repeated.contains(state), .steady < deadline { continue }
        if case .refused(Self.betweenMigrations, _, _) = error, [.captureLead, .captureLeads].contains(function),
          .steady < migratedBy
        {
          usleep(Self.migrationPause)
          continue
        }
        if mayWait, case .unavailable(let reason) = error, reason.contains(Self.loginHasFailed) {
          mayWait = false
          usleep(Self.loginRetry)
          continue
        }
        throw error
      }
    }
  }
}
