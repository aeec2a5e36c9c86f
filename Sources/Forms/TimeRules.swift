import Wire

extension Rule where Value == Instant {
  /// An ISO 8601 time. Anything else is rejected.
  package static var instant: Rule {
    // The years and offsets that Instant supports.
    let pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-.*([Zz]|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)$"
    return Rule(
      ["type": "string", "format": "date-time", "pattern": .string(pattern)],
      else: .invalidTime, parse: Instant.init(iso8601:))
  }
}

/// The end of a time span that a day is used for.
package enum DayEdge: String, Sendable { case start, end }

extension Rule where Value == String {
  /// A day, `2026-11-23`, or an ISO 8601 time. It remains a string, because only the database can determine when a day
  /// begins.
  /// - Parameter edge: which end of a time span it is, for the `format` in the schema.
  package static func day(_ edge: DayEdge? = nil) -> Rule {
    let format = edge.map { "day-at-the-\($0.rawValue)" } ?? "day-or-time"
    return Rule(
      ["type": "string", "format": .string(format)],
      else: .invalidDay
    ) { text in isDay(text) ? text : Instant(iso8601: text)?.iso8601 }
  }

  /// True if the day exists and is not before 1970.
  private static func isDay(_ text: String) -> Bool {
    text.utf8.count == 10 && Instant(iso8601: text + "T00:00Z") != nil
  }

  /// A time zone, by its name in the tz database.
  package static var zone: Rule {
    Rule(["type": "string", "format": "time-zone"], else: .invalidTimeZone) {
      Zone.isKnown($0) ? $0 : nil
    }
  }
}
