import Contract
import Leads
import Wire

/// The rule against robots, from the settings.
package struct FormGuard: Sendable {
  package static let secret = Setting("FORM_TOKEN_SECRET") { text in
    let secrets = text.split(separator: ",", omittingEmptySubsequences: false)
    return secrets.allSatisfy { 32...200 ~= $0.utf8.count && $0.utf8.allSatisfy { 0x21...0x7E ~= $0 } }
      ? nil
      : "must have 32 to 200 visible ASCII characters; further secrets verify old tokens and follow after commas"
  }
  package static let tokens = Setting.choice("FORM_TOKENS", ["optional", "required"])
  package static let work = Setting.number("FORM_WORK_BITS", 1...FormWork.mostBits)
  package static let settings = [secret, tokens, work]

  /// Refuses settings that have no effect, or refuse every form, without a secret.
  package static func combinationErrors(_ given: [String: String]) -> [Setting] {
    if given["FORM_TOKEN_SECRET"] != nil { return [] }
    return [
      Setting("FORM_TOKENS") { $0 == "required" ? "requires FORM_TOKEN_SECRET" : nil },
      Setting("FORM_WORK_BITS") { _ in "requires FORM_TOKEN_SECRET" },
    ]
  }

  /// Nil if FORM_TOKEN_SECRET is not set.
  package let tokens: FormTokens?
  package let workBits: Int
  package let rule: SpamRule

  /// Throws if tokens are required but no secret is set.
  package init(_ settings: Settings) throws(Problem) {
    let requires = settings["FORM_TOKENS"] == "required"
    let secrets = (settings["FORM_TOKEN_SECRET"] ?? "").split(separator: ",").map(String.init)
    tokens = secrets.first.map { FormTokens(secret: $0, old: Array(secrets.dropFirst())) }
    workBits = settings.number("FORM_WORK_BITS", default: 0)
    if requires, tokens == nil { throw .misconfigured("FORM_TOKENS=required needs FORM_TOKEN_SECRET") }
    rule = SpamRule(tokens: tokens, workBits: workBits, requiresToken: requires)
  }

  /// Judges the body of a request.
  package func judge(_ body: JSON, of request: Request) -> SpamRule.Verdict {
    rule.judge(GuardFields(body), at: request.receivedAt, isOperators: request.isBare)
  }
}

extension Setting {
  /// FORM_THANKS_URL: the page after a form that was posted without a script.
  package static let formThanks = Setting("FORM_THANKS_URL") { text in
    WebAddress(text) == nil ? "must be an http or https URL" : nil
  }
}
