import Contract
import Wire

/// How long finished rows and closed leads are kept.
package struct Retention: Sendable {
  /// How long finished rows are kept. Nil keeps them forever.
  package let days: Int?
  /// After how many days without a change the personal data of closed leads is erased. Nil keeps it forever.
  package let leadsDays: Int?

  /// RETENTION_DAYS: 1 to 36500 days, or `off`; defaults to 90.
  package static let setting = setting("RETENTION_DAYS", from: 1)
  /// RETENTION_LEADS_DAYS: 30 to 36500 days, or `off`, the default.
  package static let leadsSetting = setting("RETENTION_LEADS_DAYS", from: 30)

  private static func setting(_ name: String, from least: Int) -> Setting {
    Setting(name) { value in
      value == "off" || Int(strict: value).map((least...36_500).contains) == true
        ? nil : "must be a whole number of days from \(least) to 36500, or off"
    }
  }

  package init(_ settings: Settings) {
    days = settings["RETENTION_DAYS"] == "off" ? nil : settings.number("RETENTION_DAYS", default: 90)
    leadsDays = settings["RETENTION_LEADS_DAYS"].flatMap { Int(strict: $0) }
  }
}
