import Contract
import Wire

extension Setting {
  /// SUPABASE_JWT_ISSUER: the `iss` of access tokens, such as `https://REF.supabase.co/auth/v1`. Turns them on.
  package static let supabaseIssuer = Setting("SUPABASE_JWT_ISSUER") { text in
    guard let address = WebAddress(text), !text.hasSuffix("/"), !text.contains("?"), !text.contains("#") else {
      return "must be the URL of the project's Auth server without a slash at the end: https://REF.supabase.co/auth/v1"
    }
    return address.isSecure || address.isLoopback ? nil : "must be an https URL"
  }

  /// SUPABASE_JWKS: the project's public keys, as JSON or the absolute path of a file. Handlers do not refuse a file that
  /// has become wrong since the start: keys of ours still open the admin interface.
  package static let supabaseKeys = Setting("SUPABASE_JWKS", leadsTo: .file) { text in
    text.hasPrefix("/") ? nil : JSONWebKeys.fault(in: text)
  }

  /// SUPABASE_JWKS as every start checks it: the file must be one that can be used.
  package static let supabaseKeysFile = Setting("SUPABASE_JWKS", leadsTo: .file, validate: JSONWebKeys.fault)

  /// SUPABASE_JWT_SECRET: the project's shared secret for HS256. Supabase makes it longer; RFC 7518 §3.2 demands 32
  /// bytes.
  package static let supabaseSecret = Setting("SUPABASE_JWT_SECRET") { text in
    32...1000 ~= text.utf8.count && text.utf8.allSatisfy { 0x21...0x7E ~= $0 }
      ? nil : "must have 32 to 1000 visible ASCII characters, without spaces"
  }
}

extension AccessTokens {
  /// The settings that tokens are verified with.
  package static let settings: [Setting] = [.supabaseIssuer, .supabaseKeys, .supabaseSecret]

  /// Settings that are wrong together: an issuer without keys, or keys without an issuer.
  package static func combinationErrors(_ given: [String: String]) -> [Setting] {
    let isGiven = { (setting: Setting) in given[setting.name]?.isEmpty == false }
    let hasKeys = isGiven(.supabaseKeys) || isGiven(.supabaseSecret)
    if hasKeys, !isGiven(.supabaseIssuer) {
      return [.init(Setting.supabaseIssuer.name, required: true)]
    }
    guard isGiven(.supabaseIssuer), !hasKeys else { return [] }
    return [Setting(Setting.supabaseIssuer.name) { _ in "needs SUPABASE_JWKS or SUPABASE_JWT_SECRET" }]
  }

  /// The verifier that the settings describe. Nil if SUPABASE_JWT_ISSUER is not set. If the file in SUPABASE_JWKS cannot
  /// be used, there is an [ERROR] line in the log, and no token is accepted that its keys would have to verify.
  package init?(_ settings: Settings) {
    guard let issuer = settings[Setting.supabaseIssuer.name] else { return nil }
    var keys: [String: SigningKey] = [:]
    if let set = settings[Setting.supabaseKeys.name] {
      do throws(JSONWebKeys.Failure) { keys = try JSONWebKeys(set).keys } catch {
        Log(processEnvironment()).error("SUPABASE_JWKS \(error.reason); the tokens of its keys are refused")
      }
    }
    self.init(
      issuer: issuer, secret: settings[Setting.supabaseSecret.name].map { .secret(Array($0.utf8)) }, keys: keys)
  }
}
