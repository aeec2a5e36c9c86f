import Limits
import Wire

/// The decision of the shared rate limits on one request.
package struct RequestAdmission: Sendable {
  /// How the key of an admin request may be tested.
  package enum KeyTest: Sendable, Equatable {
    /// Not an admin route.
    case none
    /// It was accepted before.
    case free
    /// It is one of the guesses that its address has. It was counted before the test, so that parallel guesses gain
    /// nothing.
    case counted
    /// The address has used up its guesses: its keys are tested one after another.
    case inTurn
  }

  /// The state of the limit of the request's class; nil without a limit.
  package let quota: Quota?
  package let test: KeyTest
  /// The quota that refuses the request; nil if its handler may be called.
  package var refusal: Quota? { quota.flatMap { $0.isAllowed ? nil : $0 } }
  /// The quota that refuses a request whose key was to be tested in turn, and was wrong or could not be tested.
  /// Nil unless the key is to be tested in turn.
  package var turnRefusal: Quota? {
    guard test == .inTurn else { return nil }
    return [quota, guess].compactMap { $0 }.first { !$0.verdict.isAllowed }.map {
      Quota(name: $0.name, verdict: $0.verdict)
    }
  }

  /// The state of the limit of refused keys; nil if the request did not count as a guess.
  let guess: Quota?
  /// The digests of the presented keys.
  let digests: [String]
  /// The limits of refused keys of its client.
  let guesses: [SharedRate]
  /// What `settle_request` takes to give back the admission or the guess; nil if there is nothing to give back.
  let held: JSON?
  let heldGuess: JSON?

  /// The same admission for a request whose key cannot be tested now: it is refused.
  package var withoutTurn: RequestAdmission {
    let second = RateVerdict(
      isAllowed: false, limit: .testsOfSuspiciousKeys, remaining: 0, resetsIn: 1000, countedAt: 0)
    return RequestAdmission(
      quota: Quota(name: "refused-keys", verdict: second), test: test, guess: guess, digests: digests,
      guesses: guesses, held: held, heldGuess: heldGuess)
  }
}

/// What must be changed in the shared counts after a reply.
package struct RequestSettlement: Sendable {
  /// The argument of `settle_request`; nil if nothing must be changed.
  package let argument: JSON?
  /// The quota with which the caller must refuse the request instead of sending the reply: a wrong key that was tested
  /// in turn.
  package let refusal: Quota?
  private let quota: Quota?

  init(argument: JSON?, refusal: Quota?, quota: Quota?) {
    self.argument = argument
    self.refusal = refusal
    self.quota = quota
  }

  /// Returns the quota to report with the reply.
  /// - Parameter answer: the result of `settle_request`; nil if it was not called or has failed.
  package func quota(after answer: JSON?) -> Quota? {
    if let refusal { return refusal }
    guard let quota, let after = answer?["request"], let verdict = RateVerdict(after, of: [quota.verdict.limit]) else {
      return quota
    }
    return Quota(name: quota.name, verdict: verdict, wasAdmitted: true)
  }
}

extension RateVerdict {
  /// Reads a verdict of the database; nil if it is not about one of the limits.
  init?(_ json: JSON, of limits: [RateLimit]) {
    guard let isAllowed = json["allowed"]?.bool, let remaining = json["remaining"]?.integer,
      let resetsIn = json["resetsIn"]?.integer, let count = json["count"]?.integer,
      let limit = limits.first(where: { $0.count == count })
    else { return nil }
    self.init(isAllowed: isAllowed, limit: limit, remaining: remaining, resetsIn: resetsIn, countedAt: 0)
  }
}
