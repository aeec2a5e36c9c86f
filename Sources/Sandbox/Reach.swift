/// Whom a process must be able to reach, by the settings that it was given.
struct Reach {
  private(set) var ports: [Int] = []
  private(set) var hasLocalSockets = false
  /// Files that the settings name, and those needed to follow them.
  private(set) var files: [String] = []

  /// Settings that hold the address of a provider, and those that stand for one at its usual address.
  private static let addresses = [
    "SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_NEWSLETTER_URL", "TELEGRAM_API_URL", "RESEND_API_URL",
  ]
  private static let keys = ["TELEGRAM_BOT_TOKEN": "TELEGRAM_API_URL", "RESEND_API_KEY": "RESEND_API_URL"]
  private static let kerberos = ["/etc/gss/mech.d", "/etc/krb5.conf", "/etc/krb5.conf.d"]
  /// Long answers of name servers come by TCP.
  private static let nameServer = 53

  init(_ environment: [String: String]) {
    for name in Self.addresses { if let address = environment[name] { ports += Self.port(of: address) } }
    for (key, address) in Self.keys where environment[key] != nil && environment[address] == nil { ports.append(443) }
    if environment["EMAIL_HOST"] != nil { ports.append(environment["EMAIL_PORT"].flatMap { Int($0) } ?? 587) }
    if let database = environment["DATABASE_URL"].flatMap(DatabaseAddress.init) {
      ports += database.ports
      hasLocalSockets = database.isLocal
      // libpq asks Kerberos first whether it has something to say.
      files += database.files + (database.ports.isEmpty ? [] : Self.kerberos)
      // libpq then takes the name of the system's user.
      if !database.namesUser { files += ["/etc/passwd", "/etc/nsswitch.conf"] }
    }
    if environment["LEADPIPE_WAKE"] != nil { hasLocalSockets = true }
    if !ports.isEmpty {
      ports.append(Self.nameServer)
      // The system's name services may answer on a socket of theirs.
      hasLocalSockets = true
    }
  }

  /// The port of an http or https address; none where it is no such address.
  private static func port(of address: String) -> [Int] {
    let parts = address.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let standard = ["http:": 80, "https:": 443][parts[0].lowercased()] else { return [] }
    let host = parts[2].prefix { !"/?#".contains($0) }
    guard let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") else { return [standard] }
    return [Int(host[host.index(after: colon)...]) ?? standard]
  }
}
