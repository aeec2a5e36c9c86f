import Host
import Wire

/// Where a function's settings come from: secrets from AWS Secrets Manager, everything else from the template's
/// parameters.
enum LambdaSettings {
  /// Settings that give access to something. Each class has one secret, a JSON object with these names.
  private static let secrets: Set<String> = [
    "DATABASE_URL", "ADMIN_API_KEY", "SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_NEWSLETTER_URL", "TELEGRAM_BOT_TOKEN",
    "EMAIL_PASS", "RESEND_API_KEY", "FORM_TOKEN_SECRET", "SUPABASE_JWT_SECRET",
  ]
  /// Settings that have no meaning on Lambda: a Unix socket, the gateway's port and pooler. DATABASE_URL_LISTEN and
  /// SUPABASE_SERVICE_ROLE_KEY would be secrets that may be absent, which a reference to a secret cannot be.
  private static let meaningless: Set<String> = [
    "LEADPIPE_WAKE", "PORT", "POOLER", "DATABASE_URL_LISTEN", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY",
  ]
  /// Values that differ from the product's own defaults.
  private static let defaults = ["LOG_FORMAT": "json", "LOG_LEVEL": "info", "WAKE": "notify"]

  /// The environment of a function with these settings.
  static func environment(_ names: some Sequence<String>, of trust: TrustClass) -> JSON {
    .object(
      Set(names).subtracting(meaningless).sorted().map { JSON.Member($0, value(of: $0, trust)) })
  }

  private static func value(of name: String, _ trust: TrustClass) -> JSON {
    if name == "LEADPIPE_ROLE" { return .string(trust.database?.role ?? "") }
    guard secrets.contains(name) else { return ["Ref": .string(LambdaNames.capitalized(name))] }
    return ["Fn::Sub": .string("{{resolve:secretsmanager:${SecretPrefix}/\(trust.rawValue):SecretString:\(name)}}")]
  }

  /// The parameters of a template whose functions have these settings.
  static func parameters(for names: Set<String>) -> JSON {
    let own: [JSON.Member] = [
      .init(
        "Architecture",
        [
          "Type": "String", "Default": "x86_64", "AllowedValues": ["x86_64", "arm64"],
          "Description": "The processor for which `make lambda` has built",
        ]),
      .init(
        "SecretPrefix",
        [
          "Type": "String", "Default": "leadpipe", "AllowedPattern": "[A-Za-z0-9/_+=.@-]+",
          "Description": "The secrets in Secrets Manager are named PREFIX/intake, PREFIX/admin and PREFIX/worker",
        ]),
      .init("LogDays", ["Type": "Number", "Default": 30, "AllowedValues": [1, 3, 7, 14, 30, 60, 90, 180, 365]]),
      .init(
        "RequestsPerSecond",
        ["Type": "Number", "Default": 50, "MinValue": 1, "Description": "More get 429 from the HTTP API"]),
      .init(
        "RequestsAtOnce",
        [
          "Type": "Number", "Default": 20, "MinValue": 1,
          "Description": "Each request at once has a database connection, which stays open for some minutes",
        ]),
    ]
    let ofSettings = names.subtracting(secrets).subtracting(meaningless).subtracting(["LEADPIPE_ROLE"]).sorted().map {
      JSON.Member(
        LambdaNames.capitalized($0),
        [
          "Type": "String", "Default": .string(defaults[$0] ?? ""),
          "Description": .string("The setting \($0); see docs/reference/settings.md"),
        ])
    }
    return .object(own + ofSettings)
  }
}
