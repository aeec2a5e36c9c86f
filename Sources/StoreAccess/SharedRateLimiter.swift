import Contract
import Limits
import Store
import Wire

/// Counts requests in the database, for entry points without a gateway. Call `admit` before
/// the handler and `settle` with its reply. Not thread-safe.
package final class SharedRateLimiter: RequestCounter {
  private let rules: SharedRateLimits
  private let database: Database

  /// Nil with RATE_LIMIT_STORE=memory: a process that serves one request has no memory, so nothing is limited.
  package init?(_ settings: Settings, over database: Database) {
    guard settings["RATE_LIMIT_STORE"] != "memory" else { return nil }
    rules = SharedRateLimits(settings)
    self.database = database
  }

  /// Counts a request before its handler is called. The caller must refuse it if the admission has a `refusal`. Throws
  /// 503 or 504 if the database is away: such a request must not be passed to its handler.
  ///
  /// A key that must wait for its turn is tested if its network has had fewer than 20 such tests in this second: there
  /// is no queue that other processes share. Otherwise the admission refuses the request.
  package func admit(
    _ request: Request, hasBody: Bool, from client: ClientAddress?, to description: Description, log: Log
  ) throws(Problem) -> RequestAdmission? {
    let question = rules.question(request.headers, hasBody: hasBody, of: client, to: description)
    guard let argument = question.argument else { return nil }
    let longest = Instant.steady.adding(seconds: 2)
    let deadline = min(request.deadline ?? longest, longest)
    let answer = try database.call(.admitRequest, argument, deadline: deadline, log: log)
    guard let admission = rules.admission(question, answer) else { throw Problem(.databaseNotMigrated, retryAfter: 60) }
    guard admission.refusal == nil, admission.test == .inTurn else { return admission }
    let turns: JSON = ["limits": [SharedRate.turns(of: client).document]]
    let turn: JSON
    do throws(Problem) { turn = try database.call(.admitRequest, turns, deadline: deadline, log: log) } catch {
      _ = settle(admission, error.reply(requestID: request.requestID), log: log)
      throw error
    }
    return turn["request"]?["allowed"]?.bool == true ? admission : admission.withoutTurn
  }

  /// Corrects the counts after the handler's reply. Returns the quota to report; if it is not allowed, the caller must
  /// refuse the request with it. If the database is away, the counts stay as they are.
  package func settle(_ admission: RequestAdmission, _ reply: Reply, log: Log) -> Quota? {
    let settlement = rules.settlement(admission, reply)
    let answer = settlement.argument.flatMap { argument in
      try? database.call(.settleRequest, argument, deadline: Instant.steady.adding(seconds: 2), log: log)
    }
    return settlement.quota(after: answer)
  }
}
