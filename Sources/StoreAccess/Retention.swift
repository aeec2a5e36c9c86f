import Contract
import Wire

/// How long what is finished is kept.
package struct Retention: Sendable {
  /// Nil: for ever.
  package let days: Int?

  /// Days from 1, or `off`.
  package static let setting = Setting("RETENTION_DAYS") { value in
    value == "off" || Int(strict: value).map((1...36_500).contains) == true
      ? nil : "must be a whole number of days from 1 to 36500, or off"
  }

  package init(_ settings: Settings) {
    days = settings["RETENTION_DAYS"] == "off" ? nil : settings.number("RETENTION_DAYS", default: 90)
  }
}
