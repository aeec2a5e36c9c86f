import Leads
import Testing
import Wire

private func calendar(_ events: String...) -> String {
  let body = events.map { "BEGIN:VEVENT\r\n\($0)\r\nEND:VEVENT\r\n" }.joined()
  return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n\(body)END:VCALENDAR\r\n"
}

private func date(_ day: String, _ more: String...) -> String {
  (["DTSTART;VALUE=DATE:\(day)"] + more).joined(separator: "\r\n")
}

/// Returns when a hot lead received at `received` in Dubai is due.
private func due(_ received: String, _ file: String) throws -> String? {
  let received = try #require(Instant(iso8601: received))
  let calendar = try OfficeCalendar(iCalendar: file)
  let hours = try OfficeHours("Mon-Fri 09:00-18:30, Sat 10:00-15:00", except: calendar) { _ in 4 * 3600 }
  return SLA.deadline(quality: "hot", receivedAt: received, within: hours).iso8601
}

@Suite("Office calendar") struct OfficeCalendarTests {
  @Test(
    "no time passes on a holiday (2 December 2026 is a Wednesday)",
    arguments: [
      // one day: Tuesday 18:20 → Thursday 09:05
      (date("20261202"), "2026-12-01T18:20:00+04:00", "2026-12-03T05:05:00.000Z"),
      // DTEND is the day after the last one: Friday
      (date("20261202", "DTEND;VALUE=DATE:20261204"), "2026-12-01T18:20:00+04:00", "2026-12-04T05:05:00.000Z"),
      (date("20261202", "DURATION:P2D"), "2026-12-01T18:20:00+04:00", "2026-12-04T05:05:00.000Z"),
      (date("20261202", "DURATION:P1W"), "2026-12-01T18:20:00+04:00", "2026-12-09T05:05:00.000Z"),
      (date("20261202", "DTEND;VALUE=DATE:20261202"), "2026-12-01T18:20:00+04:00", "2026-12-03T05:05:00.000Z"),
      // yearly, also before the year of receipt, and across the turn of the year
      (date("20201202", "RRULE:FREQ=YEARLY"), "2026-12-01T18:20:00+04:00", "2026-12-03T05:05:00.000Z"),
      (
        date("20201231", "DTEND;VALUE=DATE:20210103", "RRULE:FREQ=YEARLY"), "2027-01-01T12:00:00+04:00",
        "2027-01-04T05:15:00.000Z"
      ),
      // a rule that has ended, by year or by count, and one that has not begun
      (date("20201202", "RRULE:FREQ=YEARLY;UNTIL=20251231"), "2026-12-02T12:00:00+04:00", "2026-12-02T08:15:00.000Z"),
      (date("20241202", "RRULE:FREQ=YEARLY;UNTIL=20261201"), "2026-12-02T12:00:00+04:00", "2026-12-02T08:15:00.000Z"),
      (date("20241202", "RRULE:FREQ=YEARLY;UNTIL=20261202"), "2026-12-02T12:00:00+04:00", "2026-12-03T05:15:00.000Z"),
      (date("20241202", "RRULE:FREQ=YEARLY;COUNT=2"), "2026-12-02T12:00:00+04:00", "2026-12-02T08:15:00.000Z"),
      (date("20241202", "RRULE:FREQ=YEARLY;COUNT=3"), "2026-12-02T12:00:00+04:00", "2026-12-03T05:15:00.000Z"),
      (date("20271202", "RRULE:FREQ=YEARLY"), "2026-12-02T12:00:00+04:00", "2026-12-02T08:15:00.000Z"),
      // 29 February exists in 2028, not in 2027
      (date("20240229", "RRULE:FREQ=YEARLY"), "2027-03-01T12:00:00+04:00", "2027-03-01T08:15:00.000Z"),
      (date("20240229", "RRULE:FREQ=YEARLY"), "2028-02-29T12:00:00+04:00", "2028-03-01T05:15:00.000Z"),
      // counts its occurrences, not years: 2024 and 2028
      (date("20240229", "RRULE:FREQ=YEARLY;COUNT=2"), "2028-02-29T12:00:00+04:00", "2028-03-01T05:15:00.000Z"),
      (date("20240229", "RRULE:FREQ=YEARLY;COUNT=2"), "2036-02-29T12:00:00+04:00", "2036-02-29T08:15:00.000Z"),
      (date("20240229", "RRULE:FREQ=YEARLY;COUNT=1"), "2028-02-29T12:00:00+04:00", "2028-02-29T08:15:00.000Z"),
      // cancelled
      (date("20261202", "STATUS:CANCELLED"), "2026-12-02T12:00:00+04:00", "2026-12-02T08:15:00.000Z"),
    ])
  func holidays(_ event: String, _ received: String, _ expected: String) throws {
    #expect(try due(received, calendar(event)) == expected)
  }

  private static let ramadan = date(
    "20270208", "DTEND;VALUE=DATE:20270310", "SUMMARY:Ramadan",
    "X-BUSINESS-HOURS:Mon-Thu 09:30-15:30\\, Fri 09:30-12:00\\, Fri 22:00-01:0\r\n 0")

  @Test(
    "a period has hours of its own (Ramadan from Monday 8 February to 9 March 2027)",
    arguments: [
      ("2027-02-08T15:20:00+04:00", "2027-02-09T05:35:00.000Z"),
      // Friday noon → Friday evening, past midnight
      ("2027-02-12T12:00:00+04:00", "2027-02-12T18:15:00.000Z"),
      ("2027-02-13T00:30:00+04:00", "2027-02-12T20:45:00.000Z"),
      // Saturday is closed
      ("2027-02-13T11:00:00+04:00", "2027-02-15T05:45:00.000Z"),
      // the last day, a Tuesday, and the day after
      ("2027-03-09T15:20:00+04:00", "2027-03-10T05:05:00.000Z"),
    ])
  func ownHours(_ received: String, _ expected: String) throws {
    #expect(try due(received, calendar(Self.ramadan)) == expected)
  }

  @Test("a holiday within a period counts, whichever comes first in the file") func holidayInPeriod() throws {
    let holiday = date("20270209")
    for file in [calendar(Self.ramadan, holiday), calendar(holiday, Self.ramadan)] {
      #expect(try due("2027-02-08T15:20:00+04:00", file) == "2027-02-10T05:35:00.000Z")
    }
  }

  @Test("hours that overlap where a period begins count once") func overlap() throws {
    let night = date("20270208", "X-BUSINESS-HOURS:Mon 00:00-06:00")
    // Sunday 22:00 to Monday 04:00, then Monday 00:00 to 06:00: warm, received at 22:30
    let file = calendar(night)
    let received = try #require(Instant(iso8601: "2027-02-07T22:30:00+04:00"))
    let hours = try OfficeHours("Sun 22:00-04:00", except: OfficeCalendar(iCalendar: file)) { _ in 4 * 3600 }
    let intervals = hours.intervals(seconds: 7 * 3600, from: received)
    #expect(intervals.map { $0.upperBound.seconds(since: $0.lowerBound) } == [7 * 3600])
    #expect(intervals.last?.upperBound.iso8601 == "2027-02-08T01:30:00.000Z")
  }

  @Test("reads what calendar programs write: folded lines, alarms, zones, quoted parameters, other components")
  func realFiles() throws {
    let file = """
      BEGIN:VCALENDAR
      PRODID:-//Example//EN
      BEGIN:VTIMEZONE
      TZID:Asia/Dubai
      BEGIN:STANDARD
      DTSTART:19700101T000000
      END:STANDARD
      END:VTIMEZONE
      BEGIN:VEVENT
      DTSTART;X-NOTE="a:b;c";VALUE=DATE:20261202
      SUMMARY:Eid Al
       Etihad\\, the National Day
      TRANSP:TRANSPARENT
      BEGIN:VALARM
      DTSTART:20200101T000000Z
      TRIGGER:-P1D
      END:VALARM
      END:VEVENT
      BEGIN:VTODO
      DTSTART:20261203T000000Z
      END:VTODO
      END:VCALENDAR
      """
    #expect(try due("2026-12-01T18:20:00+04:00", file) == "2026-12-03T05:05:00.000Z")
  }

  @Test("the calendar may close the office for a long time, but not for ever") func endless() throws {
    let long = date("20260101", "DURATION:P366D")
    let longer = date("20270101", "DURATION:P365D")
    #expect(try due("2026-01-01T12:00:00+04:00", calendar(long, longer)) == "2028-01-01T06:15:00.000Z")
    #expect(throws: OfficeHoursError(reason: "has more than 183 days a year in events that recur")) {
      try OfficeCalendar(iCalendar: calendar(date("20260101", "DURATION:P184D", "RRULE:FREQ=YEARLY")))
    }
  }

  @Test(
    "rejects what it cannot follow, and names the line",
    arguments: [
      ("", "contains an event with no DTSTART (line 3)"),
      ("DTSTART:20261202T090000Z", "contains an event with a DTSTART that is not a date (line 3)"),
      (date("20261301"), "contains an event with a DTSTART that is not a date (line 3)"),
      (date("20260229"), "contains an event with a DTSTART that is not a date (line 3)"),
      (
        date("20261202", "DTEND;VALUE=DATE:20261201"),
        "contains an event with a length that is not between 1 and 366 days (line 3)"
      ),
      (
        date("20261202", "DURATION:P99999999999W"),
        "contains an event with a length that is not between 1 and 366 days (line 3)"
      ),
      (date("20261202", "DURATION:PT8H"), "contains an event with a DURATION that is not in days or weeks (line 3)"),
      (
        date("20261202", "RRULE:FREQ=WEEKLY"),
        "contains an event with an RRULE other than FREQ=YEARLY with UNTIL or COUNT (line 3)"
      ),
      (
        date("20261202", "RRULE:FREQ=YEARLY;BYMONTH=3"),
        "contains an event with an RRULE other than FREQ=YEARLY with UNTIL or COUNT (line 3)"
      ),
      (date("20261202", "EXDATE:20271202"), "contains an event with EXDATE, which is not supported (line 3)"),
      (
        date("20261202", "X-BUSINESS-HOURS:noon"),
        "contains an event with X-BUSINESS-HOURS that are not valid: the value must have the form "
          + "`Mon-Fri 09:00-18:30, Sat 10:00-15:00` (line 3)"
      ),
    ])
  func rejects(_ event: String, _ reason: String) {
    #expect(throws: OfficeHoursError(reason: reason)) { try OfficeCalendar(iCalendar: calendar(event)) }
  }

  @Test(
    "rejects files that are no iCalendar",
    arguments: [
      ("<html>\n", "is not an iCalendar file: line 1 is not a property"),
      ("BEGIN:VCARD\nEND:VCARD\n", "is not an iCalendar file: it does not begin with BEGIN:VCALENDAR"),
      ("NAME:x\n", "is not an iCalendar file: it does not begin with BEGIN:VCALENDAR"),
      ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n", "is not an iCalendar file: line 3 ends what has not begun"),
      ("BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "is not a complete iCalendar file: an END is missing"),
      ("", "is not an iCalendar file: it is empty"),
    ])
  func rejectsFiles(_ text: String, _ reason: String) {
    #expect(throws: OfficeHoursError(reason: reason)) { try OfficeCalendar(iCalendar: text) }
  }
}
