import Forms
import Wire

/// A reason to take a submission for a robot's.
package enum SpamSign: String, Sendable, CaseIterable {
  /// The field that people do not see is filled in.
  case honeypot
  /// The token was not made here.
  case forgedToken = "forged_token"
  /// The form was sent sooner after its token than a person can fill it in.
  case tooFast = "too_fast"
  /// The token asks for work that was not done.
  case missingWork = "missing_work"
  /// There is no token, although the operator requires one.
  case missingToken = "missing_token"
}

/// What a submission carries for the judgement: members of the body that no lead has.
package struct GuardFields: Sendable, Equatable {
  package static let honeypotName = "website2"
  package static let tokenName = "formToken"
  package static let workName = "formWork"
  package static let names = [honeypotName, tokenName, workName]

  package let isTrapped: Bool
  /// Nil if absent. A value that is no text counts as a wrong token.
  package let token: String?
  package let work: String?

  package init(_ body: JSON) {
    switch body[Self.honeypotName] {
    case nil, .null: isTrapped = false
    case .string(let text): isTrapped = !trimmed(text).isEmpty
    default: isTrapped = true
    }
    func text(_ json: JSON?) -> String? {
      guard let json, !json.isNull else { return nil }
      let text = trimmed(json.string ?? json.text)
      return text.isEmpty ? nil : text
    }
    token = text(body[Self.tokenName])
    work = text(body[Self.workName])
  }

  /// Adds the members to the JSON Schema of a form.
  package static func describe(in schema: JSON) -> JSON {
    let text: JSON = [:]
    let added: [(String, String)] = [
      (honeypotName, "always empty: a robot that fills it in is caught"),
      (tokenName, "a token of GET /api/form-token"), (workName, "the proof of work that the token asks for"),
    ]
    let properties = added.reduce(schema["properties"] ?? [:]) {
      $0.setting($1.0, text.setting("description", .string($1.1)))
    }
    return schema.setting("properties", properties)
  }
}

/// Decides whether a submission is a robot's. Pure: the time is given. What it catches is kept aside, so a doubt speaks
/// for the sender: an expired token, a clock that is behind, and no token at all are no signs.
package struct SpamRule: Sendable {
  package struct Verdict: Sendable, Equatable {
    /// Empty for a submission that is accepted.
    package let signs: [SpamSign]
    /// True if a valid token, and its work, speak for the sender.
    package let isProven: Bool

    package init(signs: [SpamSign] = [], isProven: Bool = false) {
      self.signs = signs
      self.isProven = isProven
    }
  }

  /// Nil if tokens are not used. Then those that a page sends nevertheless mean nothing.
  private let tokens: FormTokens?
  private let workBits: Int
  private let requiresToken: Bool

  package init(tokens: FormTokens?, workBits: Int = 0, requiresToken: Bool = false) {
    self.tokens = tokens
    self.workBits = workBits
    self.requiresToken = requiresToken
  }

  /// - Parameter isOperators: true for a lead that the operator has piped in, which has no form.
  package func judge(_ sent: GuardFields, at now: Instant, isOperators: Bool = false) -> Verdict {
    var signs: [SpamSign] = sent.isTrapped ? [.honeypot] : []
    guard let tokens else { return Verdict(signs: signs) }
    guard let token = sent.token else {
      if requiresToken, !isOperators { signs.append(.missingToken) }
      return Verdict(signs: signs)
    }
    guard let content = tokens.read(token) else { return Verdict(signs: signs + [.forgedToken]) }
    let age = now.milliseconds - content.issuedAt.milliseconds
    let isExpired = age > FormTokens.lifetime * 1000
    // A token of the future comes from a machine whose clock is ahead: it says nothing about the time that has passed.
    if age >= 0, age < FormTokens.minimumSeconds * 1000 { signs.append(.tooFast) }
    // A tab that was open when the operator began to ask for work need not do it. A token that has expired would
    // otherwise be a way around the work for ever.
    let bits = isExpired ? max(content.bits, workBits) : content.bits
    if !FormWork.isDone(sent.work, token: token, bits: bits) { signs.append(.missingWork) }
    return Verdict(signs: signs, isProven: signs.isEmpty && !isExpired && age >= 0)
  }
}
