import Contract
import Limits
import NIOCore
import Wire

/// Counts requests in the database, which other gateways share, through a step that has the login. It adds the calls to
/// the rules in `SharedRateLimits`.
struct SharedLimiter: Sendable {
  /// The answer of the step, or why there is none.
  typealias Answer = Result<JSON, Unanswered>
  struct Unanswered: Error, Sendable {
    let reason: String
    /// What the client gets: always a 503.
    var problem = Problem(.databaseUnavailable, retryAfter: 2)
    /// True if the cause is overload or a stopping gateway.
    var isExpected = false
  }

  /// The decision on a request. A failure means that the request could not be counted, so no handler may be called.
  typealias Admission = Result<RequestAdmission?, Unanswered>

  let rules: SharedRateLimits
  /// Sends a request to the step. Its future completes within the step's time limit, and never fails.
  let ask: @Sendable (JSON, any EventLoop) -> EventLoopFuture<Answer>

  /// Counts a request whose headers have arrived. The admission is nil if no limit applies.
  func admit(
    _ headers: [String: String], hasBody: Bool, of client: ClientAddress?, to description: Description,
    on loop: any EventLoop
  ) -> EventLoopFuture<Admission> {
    let question = rules.question(headers, hasBody: hasBody, of: client, to: description)
    guard let argument = question.argument else { return loop.makeSucceededFuture(.success(nil)) }
    let rules = rules
    return ask(["admit": argument], loop).map { answer -> Admission in
      switch answer {
      case .failure(let unanswered): return .failure(unanswered)
      case .success(let answer):
        guard let admission = rules.admission(question, answer) else {
          return .failure(Unanswered(reason: "the step's reply is malformed"))
        }
        return .success(admission)
      }
    }
  }

  /// Corrects the counts after a reply, and returns the reply to send. If the step does not answer, the counts stay as
  /// they are.
  func settle(_ admission: RequestAdmission, _ reply: Reply, on loop: any EventLoop) -> EventLoopFuture<Quota?> {
    let settlement = rules.settlement(admission, reply)
    guard let argument = settlement.argument else { return loop.makeSucceededFuture(settlement.quota(after: nil)) }
    return ask(["settle": argument], loop).map { settlement.quota(after: try? $0.get()) }
  }
}
