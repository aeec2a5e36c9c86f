import Host

/// The names of the template's parts.
enum LambdaNames {
  static func logs(of trust: TrustClass) -> String { capitalized(trust.rawValue) + "Logs" }
  static func role(of trust: TrustClass) -> String { capitalized(trust.rawValue) + "Role" }

  /// `lead-capture` becomes `LeadCapture`, and `BUSINESS_HOURS` becomes `BusinessHours`.
  static func capitalized(_ name: String) -> String {
    name.split { $0 == "-" || $0 == "_" }.map { $0.prefix(1).uppercased() + $0.dropFirst().lowercased() }.joined()
  }
}
