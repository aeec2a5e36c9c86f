import Wire

/// The agency's office hours: opening times for each weekday, in local time, and days with other hours.
package struct OfficeHours: Sendable {
  private let week: WeeklyHours
  private let calendar: OfficeCalendar
  /// Returns the offset of local time from UTC at a moment, in seconds.
  private let offset: @Sendable (Instant) -> Int

  /// Reads `Mon-Fri 09:00-18:30, Sat 10:00-15:00, Fri 22:00-02:00`. The hours must add up to at least one hour a week.
  ///
  /// - Parameter calendar: the days on which other hours apply.
  package init(
    _ text: String, except calendar: OfficeCalendar = OfficeCalendar(), offset: @escaping @Sendable (Instant) -> Int
  ) throws(OfficeHoursError) {
    week = try WeeklyHours(text)
    guard week.minutes >= 60 else { throw OfficeHoursError(reason: "must cover at least one hour per week") }
    self.calendar = calendar
    self.offset = offset
  }

  /// Returns the moment at which `seconds` of office hours have passed since `start`.
  package func adding(seconds: Int, to start: Instant) -> Instant {
    intervals(seconds: seconds, from: start).last?.upperBound ?? start
  }

  /// Returns the open intervals from `start` on, until they add up to `seconds`.
  package func intervals(seconds: Int, from start: Instant) -> [Range<Instant>] {
    var intervals: [Range<Instant>] = []
    var left = seconds * 1000
    // A shift of the day before may pass midnight.
    var day = (start.milliseconds + offset(start) * 1000).quotientAndFloorRemainder(by: 86_400_000).quotient - 1
    // Hours that overlap where other hours begin or end count once.
    var counted = start
    while true {
      for opening in calendar.openings(on: day, week) {
        let from = max(moment(day, opening.lowerBound), counted)
        let open = moment(day, opening.upperBound).milliseconds - from.milliseconds
        guard open > 0 else { continue }
        counted = from.adding(milliseconds: min(left, open))
        if let last = intervals.last, last.upperBound == from {
          intervals[intervals.count - 1] = last.lowerBound..<counted
        } else {
          intervals.append(from..<counted)
        }
        if left <= open { return intervals }
        left -= open
      }
      day += 1
    }
  }

  /// True if the office opens on a day, counted from 1970-01-01.
  package func opens(on day: Int) -> Bool { !calendar.openings(on: day, week).isEmpty }

  private func moment(_ day: Int, _ minute: Int) -> Instant { LocalClock.moment(day, minute, offset: offset) }
}
