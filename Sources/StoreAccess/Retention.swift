import Contract
import Wire

/// How long finished rows are kept.
package struct Retention: Sendable {
  /// Nil keeps them forever.
  package let days: Int?

  /// RETENTION_DAYS: 1 to 36500 days, or `off`; defaults to 90.
  package static let setting = Setting("RETENTION_DAYS") { value in
    value == "off" || Int(strict: value).map((1...36_500).contains) == true
      ? nil : "must be a whole number of days from 1 to 36500, or off"
  }

  package init(_ settings: Settings) {
    days = settings["RETENTION_DAYS"] == "off" ? nil : settings.number("RETENTION_DAYS", default: 90)
  }
}
