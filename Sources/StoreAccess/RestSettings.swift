import Contract
import Store
import Wire

extension RestAddress {
  /// The address of a Supabase project.
  package static let url = Setting("SUPABASE_URL", leadsTo: .webAddress) { url in
    guard let address = WebAddress(url) else { return "must be the https address of the project" }
    guard address.isSecure || address.isLoopback else { return "must be https: the service key goes there" }
    guard !address.text.contains(where: { "?#".contains($0) }) else {
      return "must have no path: https://REF.supabase.co"
    }
    let path = address.text.split(separator: "/", omittingEmptySubsequences: false).dropFirst(3)
    return path.allSatisfy(\.isEmpty) ? nil : "must have no path: https://REF.supabase.co"
  }

  /// The key with which handlers call the project's functions.
  package static let key = Setting("SUPABASE_SERVICE_ROLE_KEY") { key in
    guard 20...4000 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
      return "must be a key of the project: sb_secret_…, or the token of service_role"
    }
    if key.hasPrefix("sb_publishable_") { return "is a publishable key: it needs a secret one (sb_secret_…)" }
    guard key.hasPrefix("eyJ") else { return nil }
    guard let role = ServiceToken.role(of: key) else { return "begins like a token and is none" }
    return role == "service_role" ? nil : "is the key of role \(role): it needs the one of service_role"
  }

  package static let settings = [url, key]

  /// The project's REST interface, which takes the place of DATABASE_URL. Nil if DATABASE_URL is set, or not both of
  /// `settings`.
  package init?(_ settings: Settings) {
    guard settings["DATABASE_URL"] == nil, let url = settings[Self.url.name], let key = settings[Self.key.name] else {
      return nil
    }
    self.init(project: url, key: key)
  }
}

/// A key of a project that is a token (RFC 7519). Only PostgREST can verify it.
enum ServiceToken {
  /// Returns the role that a token claims; nil if it is no token with a role.
  static func role(of key: String) -> String? {
    let parts = key.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3 else { return nil }
    var middle = String(parts[1].map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
    while middle.utf8.count % 4 != 0 { middle.append("=") }
    guard let bytes = Base64.decode(middle), let claims = try? JSON(reading: bytes),
      let role = claims["role"]?.string, !role.isEmpty,
      role.utf8.allSatisfy({ 0x61...0x7A ~= $0 || $0 == UInt8(ascii: "_") })
    else { return nil }
    return role
  }
}
