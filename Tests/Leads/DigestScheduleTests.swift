import Leads
import Testing
import Wire

@Suite("digest schedule")
struct DigestScheduleTests {
  private static func at(_ text: String) -> Instant { Instant(iso8601: text) ?? Instant(milliseconds: 0) }

  /// Central Europe in 2026: summer time from 29 March to 25 October, 01:00 UTC.
  private static let berlin = LocalClock(zone: "Europe/Berlin") { moment in
    at("2026-03-29T01:00:00Z") <= moment && moment < at("2026-10-25T01:00:00Z") ? 7200 : 3600
  }

  private static func schedule(_ time: String, _ hours: String? = nil) throws -> DigestSchedule {
    let hours = try hours.map { try OfficeHours($0, offset: berlin.offset) }
    return try #require(DigestSchedule(time, clock: berlin, hours: hours))
  }

  @Test(
    "each local day has one, also when the clock changes", arguments: ["2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"])
  func changes(start: String) throws {
    for time in ["00:00", "02:30", "08:30"] {
      let schedule = try Self.schedule(time)
      var sent: [String] = []
      for minute in 0..<(3 * 24 * 60) {
        guard let day = schedule.day(at: Self.at(start).adding(seconds: minute * 60)) else { continue }
        if sent.last != day.text { sent.append(day.text) }
      }
      #expect(Set(sent).count == sent.count)
      #expect(sent.count >= 3)
    }
  }

  @Test("it is sent at its time, later if no worker ran, and not after 20:00")
  func window() throws {
    let schedule = try Self.schedule("08:30")
    #expect(schedule.day(at: Self.at("2026-11-28T07:29:59Z")) == nil)
    for time in ["07:30:00", "10:00:00", "18:59:59"] {
      let day = try #require(schedule.day(at: Self.at("2026-11-28T\(time)Z")))
      #expect(day.text == "2026-11-28")
      #expect(day.end == Self.at("2026-11-28T23:00:00Z"))
    }
    #expect(schedule.day(at: Self.at("2026-11-28T19:00:00Z")) == nil)
    #expect(schedule.next(after: Self.at("2026-11-28T07:30:00Z")) == Self.at("2026-11-29T07:30:00Z"))
    let late = try Self.schedule("23:30")
    #expect(late.day(at: Self.at("2026-11-28T22:45:00Z"))?.text == "2026-11-28")
    #expect(late.day(at: Self.at("2026-11-28T23:15:00Z")) == nil)
  }

  @Test("the day of a change ends after 23 or 25 hours, and a skipped time is that of the change")
  func edges() throws {
    let schedule = try Self.schedule("02:30")
    #expect(schedule.next(after: Self.at("2026-03-28T23:00:00Z")) == Self.at("2026-03-29T01:00:00Z"))
    #expect(schedule.day(at: Self.at("2026-03-29T01:00:00Z"))?.end == Self.at("2026-03-29T22:00:00Z"))
    #expect(schedule.next(after: Self.at("2026-10-24T22:00:00Z")) == Self.at("2026-10-25T00:30:00Z"))
    #expect(schedule.day(at: Self.at("2026-10-25T00:30:00Z"))?.end == Self.at("2026-10-25T23:00:00Z"))
  }

  @Test("it is only for days on which the office opens") func office() throws {
    let schedule = try Self.schedule("08:30", "Mon-Fri 09:00-18:00")
    #expect(schedule.day(at: Self.at("2026-11-28T10:00:00Z")) == nil)
    #expect(schedule.next(after: Self.at("2026-11-27T10:00:00Z")) == Self.at("2026-11-30T07:30:00Z"))
  }

  @Test("reads only a time of day", arguments: ["8:30", "08:60", "24:00", "08:30 ", "", "off", "-1:30", "٠٨:٣٠"])
  func wrong(text: String) { #expect(DigestSchedule.minute(text) == nil) }
}
