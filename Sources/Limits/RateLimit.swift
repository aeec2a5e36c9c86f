/// The number of requests a client may make in a period: `10/60` means ten in any sixty seconds.
package struct RateLimit: Sendable, Hashable {
  /// 1 to 1000. It is bounded because each admission is kept in memory for the whole period.
  package let count: Int
  /// 1 to 3600.
  package let seconds: Int

  package init?(count: Int, seconds: Int) {
    guard 1...1000 ~= count, 1...3600 ~= seconds else { return nil }
    self.count = count
    self.seconds = seconds
  }

  /// Reads `N/SECONDS` in ASCII digits without leading zeros. Nil for anything else.
  package init?(_ text: some StringProtocol) {
    let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count == 2, let count = Digits.number(parts[0]), let seconds = Digits.number(parts[1]) else {
      return nil
    }
    self.init(count: count, seconds: seconds)
  }

  /// For constants in this module, whose values are known to be valid.
  fileprivate init(_ count: Int, per seconds: Int) {
    self.count = count
    self.seconds = seconds
  }

  var milliseconds: Int { seconds * 1000 }

  /// Returns the same period with `factor` times the requests.
  func times(_ factor: Int) -> RateLimit { RateLimit(count * factor, per: seconds) }

  /// How many 401 replies one address may get. This slows down key guessing without blocking someone who mistypes a
  /// key.
  package static let refusedKeys = RateLimit(20, per: 60)
  /// How many keys of an address that has used up `refusedKeys` are tested, in processes without a gateway.
  package static let testsOfSuspiciousKeys = RateLimit(20, per: 1)
}

/// A group of routes that are rate-limited together. A handler's description names its class.
package enum RateClass: String, Sendable, CaseIterable {
  case lead, contact, admin, export
  case `default`

  package var standard: RateLimit {
    switch self {
    case .lead: RateLimit(10, per: 60)
    case .contact, .export: RateLimit(5, per: 60)
    case .admin: RateLimit(120, per: 60)
    case .default: RateLimit(60, per: 60)
    }
  }

  /// The name of the setting for its limit, such as RATE_LIMIT_LEAD.
  package var settingName: String { "RATE_LIMIT_" + rawValue.uppercased() }

  /// Describes what is wrong with a value of that setting, as the end of a sentence that begins with the setting's
  /// name. Nil for a valid value.
  package static func validate(_ value: String) -> String? {
    value == "off" || RateLimit(value) != nil
      ? nil : "must be off, or a number of requests and of seconds such as 10/60 (1 to 1000 in 1 to 3600)"
  }

  /// Describes what is wrong with a value of RATE_LIMIT_STORE. Nil for a valid value.
  package static func validateStore(_ value: String) -> String? {
    ["memory", "postgres"].contains(value) ? nil : "must be memory or postgres"
  }

  /// Returns this class's limit for a checked setting, or the standard limit without one. Nil for `off`.
  package func limit(_ setting: String?) -> RateLimit? {
    guard let setting else { return standard }
    return RateLimit(setting)
  }
}

/// Numbers in settings and addresses.
enum Digits {
  /// Parses a whole number of one to nine ASCII digits without a leading zero. Nil for anything else.
  static func number(_ bytes: some Collection<UInt8>) -> Int? {
    guard 1...9 ~= bytes.count, bytes.allSatisfy({ 0x30...0x39 ~= $0 }), bytes.first != 0x30 || bytes.count == 1 else {
      return nil
    }
    return bytes.reduce(0) { $0 * 10 + Int($1) - 0x30 }
  }
}
