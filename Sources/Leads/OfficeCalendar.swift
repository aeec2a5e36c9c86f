import Wire

/// Days with other office hours than the week's: holidays, on which the office is closed, and periods with hours of
/// their own, such as Ramadan.
package struct OfficeCalendar: Sendable {
  /// An event of the calendar.
  fileprivate struct Entry {
    /// Days since 1970-01-01.
    let first: Int
    let length: Int
    /// The years in which it begins, if it recurs every year.
    let years: ClosedRange<Int>?
    /// Nil if the office is closed.
    let hours: WeeklyHours?
  }

  private let entries: [Entry]

  /// A calendar without such days.
  package init() { entries = [] }

  /// Reads an iCalendar file (RFC 5545). Each event must last whole days (DTSTART with VALUE=DATE) and may recur every
  /// year (RRULE:FREQ=YEARLY, with UNTIL or COUNT). The office is closed on its days, or open at the hours of its
  /// property `X-BUSINESS-HOURS`, which has the form of BUSINESS_HOURS. Cancelled events are ignored. At most 1,000
  /// events of at most 366 days; those that recur may take up half of a year.
  package init(iCalendar text: String) throws(OfficeHoursError) {
    let events = try ICalendarEvent.events(in: text)
    guard events.count <= 1000 else { throw OfficeHoursError(reason: "has more than 1,000 events") }
    var entries: [Entry] = []
    for event in events where event["STATUS"]?.value.uppercased() != "CANCELLED" { entries.append(try Entry(event)) }
    // Hours must be left in every year, or a deadline would never be reached.
    guard entries.reduce(0, { $0 + ($1.years == nil ? 0 : $1.length) }) <= 183 else {
      throw OfficeHoursError(reason: "has more than 183 days a year in events that recur")
    }
    self.entries = entries
  }

  /// Returns the openings that begin on a day: the week's unless an event is on that day. If there are several events,
  /// a holiday counts before all others, and the event that begins last before the rest.
  func openings(on day: Int, _ week: WeeklyHours) -> [WeeklyHours.Opening] {
    var latest: (begin: Int, hours: WeeklyHours)?
    for entry in entries {
      guard let begin = entry.begin(covering: day) else { continue }
      guard let hours = entry.hours else { return [] }
      if begin >= latest?.begin ?? begin { latest = (begin, hours) }
    }
    return (latest?.hours ?? week).openings(on: day)
  }
}

extension OfficeCalendar.Entry {
  init(_ event: ICalendarEvent) throws(OfficeHoursError) {
    for name in ["RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"] where event[name] != nil {
      throw event.error("\(name), which is not supported")
    }
    guard let start = event["DTSTART"] else { throw event.error("no DTSTART") }
    guard let first = start.date else { throw event.error("a DTSTART that is not a date") }
    self.first = first
    length = try Self.length(event, from: first)
    years = try event["RRULE"].map { rule throws(OfficeHoursError) in
      guard let years = Self.years(rule.value, from: first) else {
        throw event.error("an RRULE other than FREQ=YEARLY with UNTIL or COUNT")
      }
      return years
    }
    do throws(OfficeHoursError) {
      hours = try event["X-BUSINESS-HOURS"].map { property throws(OfficeHoursError) in
        try WeeklyHours(property.text)
      }
    } catch { throw event.error("X-BUSINESS-HOURS that are not valid: the value \(error.reason)") }
  }

  /// Returns the number of days, by DTEND or DURATION. DTEND is the day after the last one.
  private static func length(_ event: ICalendarEvent, from first: Int) throws(OfficeHoursError) -> Int {
    var length = 1
    if let end = event["DTEND"] {
      guard let after = end.date else { throw event.error("a DTEND that is not a date") }
      // Some programs write the same day as the end of one day.
      length = after == first ? 1 : after - first
    } else if let duration = event["DURATION"]?.value {
      let number = Int(duration.dropFirst().dropLast()) ?? 0
      guard duration.hasPrefix("P"), duration.hasSuffix("D") || duration.hasSuffix("W") else {
        throw event.error("a DURATION that is not in days or weeks")
      }
      length = 0...366 ~= number ? number * (duration.hasSuffix("W") ? 7 : 1) : 0
    }
    guard 1...366 ~= length else { throw event.error("a length that is not between 1 and 366 days") }
    return length
  }

  /// Returns the years in which a yearly event begins whose first day is `first`. Nil for any other rule.
  private static func years(_ rule: String, from first: Int) -> ClosedRange<Int>? {
    let (year, month, day) = Instant.civil(first)
    var last = 9999
    var isYearly = false
    for part in rule.split(separator: ";", omittingEmptySubsequences: false) {
      let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
      guard pair.count == 2 else { return nil }
      switch (pair[0].uppercased(), pair[1].uppercased()) {
      case ("FREQ", "YEARLY"): isYearly = true
      case ("INTERVAL", "1"), ("WKST", _): break
      case ("COUNT", let text):
        guard let count = Int(text), 1...9999 ~= count else { return nil }
        let exists = { (year: Int) in Instant.civil(Instant.days(year, month, day)).day == day }
        // A year without 29 February does not count.
        last = (year...9999).lazy.filter(exists).dropFirst(count - 1).first ?? 9999
      case ("UNTIL", let text):
        guard let until = ICalendarEvent.date(String(text.prefix(8))) else { return nil }
        let lastYear = Instant.civil(until).year
        last = Instant.days(lastYear, month, day) > until ? lastYear - 1 : lastYear
      default: return nil
      }
    }
    return isYearly && last >= year ? year...last : nil
  }

  /// Returns the first day of the occurrence that includes `day`. Nil if none does.
  fileprivate func begin(covering day: Int) -> Int? {
    guard let years else { return first..<first + length ~= day ? first : nil }
    let (_, month, dayOfMonth) = Instant.civil(first)
    // An occurrence of the year before may still last.
    let year = Instant.civil(day).year
    for year in [year, year - 1] where years ~= year {
      let begin = Instant.days(year, month, dayOfMonth)
      // 29 February exists in leap years only.
      if Instant.civil(begin).day == dayOfMonth, begin..<begin + length ~= day { return begin }
    }
    return nil
  }
}
