import Limits
import Wire

/// The rules of the rate limits that the database counts (RATE_LIMIT_STORE=postgres), without the calls of the
/// database: what to ask `admit_request`, what its answer means, and what to tell `settle_request`. The gateway and the
/// entry points without a gateway use the same rules.
package struct SharedRateLimits: Sendable {
  /// The limits of the classes. The requests of a class without a limit are not counted.
  private let limits: [RateClass: RateLimit]

  package init(_ limits: [RateClass: RateLimit]) { self.limits = limits }

  /// Reads the limits from checked settings, RATE_LIMIT_LEAD and so on.
  package init(_ settings: Settings) {
    self.init(
      Dictionary(
        uniqueKeysWithValues: RateClass.allCases.compactMap { rateClass in
          rateClass.limit(settings[rateClass.settingName]).map { (rateClass, $0) }
        }))
  }

  /// A request that is to be counted.
  package struct Question: Sendable {
    fileprivate let rates: [SharedRate]
    fileprivate let guesses: [SharedRate]
    fileprivate let digests: [String]
    fileprivate let className: String
    fileprivate let isAdmin: Bool
    fileprivate let hasBody: Bool

    /// The argument of `admit_request`; nil if no limit applies.
    package var argument: JSON? {
      guard !rates.isEmpty || !guesses.isEmpty else { return nil }
      var argument: JSON = ["limits": .array(rates.map(\.document))]
      if isAdmin {
        argument = argument.setting("secrets", .array(digests.map(JSON.string)))
          .setting("guesses", .array(guesses.map(\.document)))
      }
      return argument
    }
  }

  /// Returns what to ask for a request whose headers have arrived.
  package func question(
    _ headers: [String: String], hasBody: Bool, of client: ClientAddress?, to description: Description
  ) -> Question {
    let rateClass = RateClass(rawValue: description.rateClass) ?? .default
    let isAdmin = description.access == .admin
    return Question(
      rates: limits[rateClass].map { SharedRate.limits(rateClass.rawValue, $0, of: client) } ?? [],
      guesses: isAdmin ? SharedRate.limits("refused-keys", .refusedKeys, of: client) : [],
      digests: isAdmin ? PresentedSecrets(headers).digests : [], className: rateClass.rawValue, isAdmin: isAdmin,
      hasBody: hasBody)
  }

  /// Returns the decision in the result of `admit_request`; nil if it is not such a result.
  package func admission(_ question: Question, _ answer: JSON) -> RequestAdmission? {
    guard let isKnown = answer["known"]?.bool else { return nil }
    var quota: Quota?
    if let request = answer["request"], !request.isNull {
      guard let verdict = RateVerdict(request, of: question.rates.map(\.limit)) else { return nil }
      // A key that is not known, which may be in the body, is never refused unseen.
      let isTested = question.isAdmin && !isKnown && (question.hasBody || !question.digests.isEmpty)
      quota = Quota(name: question.className, verdict: verdict, wasAdmitted: !verdict.isAllowed && isTested)
    }
    let guess = answer["guess"].flatMap { RateVerdict($0, of: question.guesses.map(\.limit)) }
      .map { Quota(name: "refused-keys", verdict: $0) }
    let test: RequestAdmission.KeyTest =
      !question.isAdmin ? .none : isKnown ? .free : guess?.verdict.isAllowed == true ? .counted : .inTurn
    let admission = RequestAdmission(
      quota: quota, test: test, guess: guess, digests: question.digests, guesses: question.guesses,
      held: answer["request"]?["held"], heldGuess: answer["guess"]?["held"])
    return test == .inTurn && admission.turnRefusal == nil ? nil : admission
  }

  /// Returns what a reply changes. An accepted key, or the session that the reply opens, is known from then on; only a
  /// 401 uses up a guess.
  package func settlement(_ admission: RequestAdmission, _ reply: Reply) -> RequestSettlement {
    var changes: [JSON.Member] = []
    if let held = admission.held, let giveBack = Quota.GiveBack(after: reply.status) {
      changes.append(.init("request", ["held": held, "half": .bool(giveBack == .half)]))
    }
    guard admission.test != .none else { return settlement(changes, admission) }
    if reply.status == 401 {
      if admission.test == .free {
        changes.append(.init("refused", .array(admission.digests.map(JSON.string))))
        changes.append(.init("guesses", .array(admission.guesses.map(\.document))))
      }
      return settlement(changes, admission, refusal: admission.turnRefusal)
    }
    if let guess = admission.heldGuess { changes.append(.init("guess", ["held": guess, "half": false])) }
    if 200..<400 ~= reply.status {
      // With several sessions, it is not known which one is valid.
      let presented = admission.test != .free && admission.digests.count == 1 ? admission.digests : []
      let accepted = presented + PresentedSecrets(openedBy: reply).digests
      if !accepted.isEmpty { changes.append(.init("accepted", .array(accepted.map(JSON.string)))) }
    }
    return settlement(changes, admission)
  }

  private func settlement(
    _ changes: [JSON.Member], _ admission: RequestAdmission, refusal: Quota? = nil
  ) -> RequestSettlement {
    RequestSettlement(argument: changes.isEmpty ? nil : .object(changes), refusal: refusal, quota: admission.quota)
  }
}

extension SharedRateLimits {
  /// The settings of the limits and of the place where requests are counted.
  package static let settings =
    [Setting("RATE_LIMIT_STORE", validate: RateClass.validateStore)]
    + RateClass.allCases.map { Setting($0.settingName, validate: RateClass.validate) }
}

/// Counts requests for a server that cannot count them in memory, because each process serves one request or one of
/// many instances.
package protocol RequestCounter {
  /// Counts a request before its handler is called; nil if no limit applies. The caller must refuse the request if the
  /// admission has a `refusal`. Throws if the request cannot be counted: then no handler may be called.
  func admit(
    _ request: Request, hasBody: Bool, from client: ClientAddress?, to description: Description, log: Log
  ) throws(Problem) -> RequestAdmission?

  /// Corrects the counts after the reply. Returns the quota to report; if it is not allowed, the caller must refuse the
  /// request with it.
  func settle(_ admission: RequestAdmission, _ reply: Reply, log: Log) -> Quota?
}

extension SharedRate {
  /// The limit as the database functions take it.
  package var document: JSON {
    ["rate": .string(name), "key": .string(key), "count": JSON(limit.count), "seconds": JSON(limit.seconds)]
  }
}
