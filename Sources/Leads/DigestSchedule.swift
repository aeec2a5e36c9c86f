import Wire

/// When the daily digests are due, on the agency's clock: at a time of day, on every day on which the office opens. A
/// digest that could not be sent then is sent later on the same day, until 20:00, or for an hour if its time is after
/// 19:00.
package struct DigestSchedule: Sendable {
  private static let lastMinute = 20 * 60

  /// Minutes since midnight.
  private let minute: Int
  private let clock: LocalClock
  private let hours: OfficeHours?

  /// Reads `08:30`. Nil for anything else.
  package init?(_ text: String, clock: LocalClock, hours: OfficeHours?) {
    guard let minute = Self.minute(text) else { return nil }
    self.minute = minute
    self.clock = clock
    self.hours = hours
  }

  /// Reads `08:30` as minutes since midnight. Nil for anything else.
  package static func minute(_ text: String) -> Int? {
    let bytes = Array(text.utf8)
    guard bytes.count == 5, bytes[2] == UInt8(ascii: ":") else { return nil }
    let digits = [bytes[0], bytes[1], bytes[3], bytes[4]].map { Int($0) - 0x30 }
    guard digits.allSatisfy((0...9).contains), digits[2] < 6 else { return nil }
    let minute = (digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]
    return minute < 24 * 60 ? minute : nil
  }

  /// A day of the agency's calendar.
  package struct Day: Sendable, Equatable {
    /// `2026-11-28`.
    package let text: String
    /// The end of the day.
    package let end: Instant
  }

  /// Returns the day whose digests can be sent at a moment. Nil if none can.
  package func day(at now: Instant) -> Day? {
    let day = clock.days(now)
    let last = min(max(Self.lastMinute, minute + 60), 24 * 60)
    guard hours?.opens(on: day) ?? true, clock.moment(day, minute) <= now, now < clock.moment(day, last) else {
      return nil
    }
    return Day(text: Self.text(day), end: clock.moment(day + 1, 0))
  }

  /// Returns when digests are due next, after a moment. Nil if the office does not open within a month.
  package func next(after now: Instant) -> Instant? {
    let today = clock.days(now)
    return (today...today + 31).lazy.filter { hours?.opens(on: $0) ?? true }.map { clock.moment($0, minute) }
      .first { $0 > now }
  }

  private static func text(_ day: Int) -> String { String(Instant(milliseconds: day * 86_400_000).iso8601.prefix(10)) }
}
