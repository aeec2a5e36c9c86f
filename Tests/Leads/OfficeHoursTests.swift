import Leads
import Testing
import Wire

private let dubai: @Sendable (Instant) -> Int = { _ in 4 * 3600 }

/// Central European time of 2026: summer from 29 March 01:00 UTC to 25 October 01:00 UTC.
private let berlin: @Sendable (Instant) -> Int = { moment in
  let summer = "2026-03-29T01:00:00.000Z"..<"2026-10-25T01:00:00.000Z"
  return summer.contains(moment.iso8601) ? 7200 : 3600
}

private func deadline(
  _ quality: String, _ received: String, _ hours: String, _ offset: @escaping @Sendable (Instant) -> Int
) throws -> String? {
  let received = try #require(Instant(iso8601: received))
  return SLA.deadline(quality: quality, receivedAt: received, within: try OfficeHours(hours, offset: offset)).iso8601
}

@Suite("Office hours") struct OfficeHoursTests {
  private static let agency = "Mon-Fri 09:00-18:30, Sat 10:00-15:00"

  @Test(
    "the time to the first response runs while the office is open (Asia/Dubai, +04:00; 20 November 2026 is a Friday)",
    arguments: [
      // Friday 18:20 → Saturday 10:05
      ("hot", "2026-11-20T18:20:00+04:00", "2026-11-21T06:05:00.000Z"),
      // Friday 18:15 → exactly at closing time
      ("hot", "2026-11-20T18:15:00+04:00", "2026-11-20T14:30:00.000Z"),
      // Friday 18:30 and later → Saturday 10:15
      ("hot", "2026-11-20T18:30:00+04:00", "2026-11-21T06:15:00.000Z"),
      ("hot", "2026-11-20T23:59:59+04:00", "2026-11-21T06:15:00.000Z"),
      // in the middle of the week
      ("hot", "2026-11-18T12:00:00+04:00", "2026-11-18T08:15:00.000Z"),
      ("warm", "2026-11-18T18:00:00+04:00", "2026-11-19T05:30:00.000Z"),
      // before opening, and on Sunday
      ("hot", "2026-11-18T03:00:00+04:00", "2026-11-18T05:15:00.000Z"),
      ("warm", "2026-11-22T12:00:00+04:00", "2026-11-23T06:00:00.000Z"),
      // Saturday 14:30: half an hour is left, then Monday
      ("warm", "2026-11-21T14:30:00+04:00", "2026-11-23T05:30:00.000Z"),
      // cold: 24 office hours. Friday 9.5, Saturday 5, Monday 9.5 → the end of Monday
      ("cold", "2026-11-20T09:00:00+04:00", "2026-11-23T14:30:00.000Z"),
      // the milliseconds of the time of receipt are kept
      ("hot", "2026-11-18T12:00:00.123+04:00", "2026-11-18T08:15:00.123Z"),
      ("hot", "2026-11-20T18:20:00.500+04:00", "2026-11-21T06:05:00.500Z"),
      // across the turn of the year
      ("hot", "2026-12-31T18:29:00+04:00", "2027-01-01T05:14:00.000Z"),
    ])
  func table(_ quality: String, _ received: String, _ due: String) throws {
    #expect(try deadline(quality, received, Self.agency, dubai) == due)
  }

  @Test(
    "counts real hours across clock changes (Europe/Berlin)",
    arguments: [
      // on 29 March the hour from 02:00 to 03:00 is skipped: 01:00 to 04:00 is two hours
      ("Sun 01:00-04:00", "2026-03-29T00:30:00+01:00", "warm", "2026-03-29T01:00:00.000Z"),
      ("Sun 01:00-04:00", "2026-03-29T01:30:00+01:00", "warm", "2026-03-29T01:30:00.000Z"),
      // on the Saturday evening before
      ("Mon-Sun 09:00-18:00", "2026-03-28T17:50:00+01:00", "hot", "2026-03-29T07:05:00.000Z"),
      // on the Saturday evening before winter time
      ("Mon-Sun 09:00-18:00", "2026-10-24T17:50:00+02:00", "hot", "2026-10-25T08:05:00.000Z"),
    ])
  func clockChange(_ hours: String, _ received: String, _ quality: String, _ due: String) throws {
    #expect(try deadline(quality, received, hours, berlin) == due)
  }

  @Test(
    "handles an opening that begins or ends in the skipped hour (New York, 8 March 2026, 07:00 UTC)",
    arguments: [
      ("Sun 02:00-03:30", "2026-03-08T06:10:00Z", "2026-03-08T07:15:00.000Z"),
      ("Sun 01:30-02:30", "2026-03-08T06:40:00Z", "2026-03-08T06:55:00.000Z"),
      ("Sun 01:30-02:30", "2026-03-08T06:50:00Z", "2026-03-09T14:05:00.000Z"),
      // in the repeated hour: on 1 November 2026, 01:30 is first at 05:30 UTC
      ("Sun 01:30-01:50", "2026-11-01T05:00:00Z", "2026-11-01T05:45:00.000Z"),
    ])
  func gap(_ hours: String, _ received: String, _ due: String) throws {
    let newYork: @Sendable (Instant) -> Int = { moment in
      let summer = "2026-03-08T07:00:00.000Z"..<"2026-11-01T06:00:00.000Z"
      return summer.contains(moment.iso8601) ? -14_400 : -18_000
    }
    #expect(try deadline("hot", received, hours + ", Mon 10:00-11:00", newYork) == due)
  }

  @Test(
    "accepts days and openings in any order, days that wrap around, and a day until midnight",
    arguments: [
      ("Sun-Thu 09:00-18:00", "2026-11-20T10:00:00+04:00", "2026-11-22T05:15:00.000Z"),
      ("sat-wed 16:00-20:00,SAT-WED 08:00-12:00", "2026-11-21T11:50:00+04:00", "2026-11-21T12:05:00.000Z"),
      ("Fri 00:00-24:00", "2026-11-20T23:50:00+04:00", "2026-11-26T20:05:00.000Z"),
      ("Mon-Sun 00:00-24:00", "2026-11-20T23:50:00+04:00", "2026-11-20T20:05:00.000Z"),
      // a shift that passes midnight, received before and after it, at its end, and before a shift that follows at once
      ("Fri 22:00-02:00", "2026-11-20T23:50:00+04:00", "2026-11-20T20:05:00.000Z"),
      ("Fri 22:00-02:00", "2026-11-21T01:30:00+04:00", "2026-11-20T21:45:00.000Z"),
      ("Fri 22:00-02:00", "2026-11-21T01:50:00+04:00", "2026-11-27T18:05:00.000Z"),
      ("Fri 22:00-02:00, Sat 02:00-03:00", "2026-11-21T01:50:00+04:00", "2026-11-20T22:05:00.000Z"),
      // from Sunday to Monday, the ends of the week
      ("Sun 20:00-04:00", "2026-11-23T03:50:00+04:00", "2026-11-29T16:05:00.000Z"),
    ])
  func notations(_ hours: String, _ received: String, _ due: String) throws {
    #expect(try deadline("hot", received, hours, dubai) == due)
  }

  @Test("lists the intervals that count, the last one up to the deadline") func intervals() throws {
    let hours = try OfficeHours("Mon-Fri 09:00-12:00, Mon-Fri 13:00-18:30", offset: dubai)
    let start = try #require(Instant(iso8601: "2026-11-20T11:30:00+04:00"))
    let intervals = hours.intervals(seconds: 8 * 3600, from: start)
    #expect(intervals.map { $0.upperBound.seconds(since: $0.lowerBound) } == [1800, 19_800, 7200])
    #expect(intervals.map(\.lowerBound.iso8601).last == "2026-11-23T05:00:00.000Z")
    #expect(intervals.last?.upperBound == hours.adding(seconds: 8 * 3600, to: start))
  }

  @Test(
    "a deadline is near when a third of the office time is left, and not a millisecond before",
    arguments: [
      // Hot on Friday 18:20: due Saturday 10:05. At closing time, 5 of the 15 minutes are left.
      ("hot", "2026-11-20T18:20:00+04:00", "2026-11-20T14:30:00.000Z"),
      ("hot", "2026-11-18T12:00:00+04:00", "2026-11-18T08:10:00.000Z"),
      // Warm on Wednesday 18:00: due Thursday 9:30, and near at 9:10.
      ("warm", "2026-11-18T18:00:00+04:00", "2026-11-19T05:10:00.000Z"),
      // Cold on Friday 9:00: due Monday 18:30, 8 of 9.5 hours before.
      ("cold", "2026-11-20T09:00:00+04:00", "2026-11-23T06:30:00.000Z"),
    ])
  func warning(_ quality: String, _ received: String, _ near: String) throws {
    let hours = try OfficeHours(Self.agency, offset: dubai)
    let received = try #require(Instant(iso8601: received))
    let due = SLA.deadline(quality: quality, receivedAt: received, within: hours)
    let warning = SLA.warning(quality: quality, deadline: due, within: hours)
    #expect(warning.iso8601 == near)
    #expect(received < warning && warning < due)
    #expect(try #require(SLA.warnBefore(warning, within: hours)[quality]) >= due)
    #expect(try #require(SLA.warnBefore(warning.adding(milliseconds: -1), within: hours)[quality]) < due)
  }

  @Test("the warning follows the receipt, for every quality and hour of three weeks", arguments: Lead.qualities)
  func warningAfterReceipt(_ quality: String) throws {
    let hours = try OfficeHours(Self.agency, offset: dubai)
    let start = try #require(Instant(iso8601: "2026-11-16T00:07:00.001+04:00"))
    for hour in 0..<(21 * 24) {
      let received = start.adding(seconds: hour * 3600)
      for hours in [hours, nil] {
        let due = SLA.deadline(quality: quality, receivedAt: received, within: hours)
        let warning = SLA.warning(quality: quality, deadline: due, within: hours)
        #expect(received < warning && warning < due)
        #expect(try #require(SLA.warnBefore(warning, within: hours)[quality]) >= due)
        #expect(try #require(SLA.warnBefore(warning.adding(milliseconds: -1), within: hours)[quality]) < due)
      }
    }
  }

  @Test("a warning in the hour that a clock skips or repeats (Europe/Berlin)") func warningAtClockChange() throws {
    for (received, hours) in [
      ("2026-03-29T00:30:00+01:00", "Sun 01:00-04:00"), ("2026-10-25T00:30:00+02:00", "Sun 01:00-04:00"),
    ] {
      let hours = try OfficeHours(hours, offset: berlin)
      let due = SLA.deadline(quality: "warm", receivedAt: try #require(Instant(iso8601: received)), within: hours)
      let warning = SLA.warning(quality: "warm", deadline: due, within: hours)
      #expect(hours.adding(seconds: 1200, to: warning) == due)
    }
  }

  @Test("one office hour a week is enough, even if the deadline is months away") func shortWeek() throws {
    #expect(
      try deadline("cold", "2026-11-20T10:00:00+04:00", "Fri 10:00-11:00", dubai) == "2027-04-30T07:00:00.000Z")
  }

  @Test(
    "rejects invalid office hours",
    arguments: [
      "", "Mon", "09:00-18:00", "Mon 9:00-18:00", "Mon 09:00", "Mon 09:00-09:00", "Mon 09:00-24:01", "Mon 24:00-02:00",
      "Fri 22:00-02:00, Sat 01:00-05:00", "Sun 20:00-04:00, Mon 03:59-12:00", "Mon-Sun 08:00-08:00",
      "Mon 09:60-10:00", "Mon 09:00-25:00", "Mo 09:00-18:00", "Mon-Tue-Wed 09:00-18:00", "Mon 09:00-18:00,",
      "Mon 09:00-18:00 Tue", "Mon 09:00-12:00, Mon 11:59-13:00", "Mon-Fri 09:00-18:00, Fri 10:00-11:00",
      "Mon 09:00-09:59", "Mon +9:00-18:00", "Mon -1:00-18:00", "Mon ٠٩:00-18:00", "Mon 09:00–18:00", "Mon\t09:00-18:00",
    ])
  func rejects(_ text: String) {
    #expect(throws: OfficeHoursError.self) { try OfficeHours(text, offset: dubai) }
  }

  @Test(
    "without office hours, the time runs round the clock",
    arguments: [("hot", 900), ("warm", 3600), ("cold", 86_400)])
  func roundTheClock(_ quality: String, _ seconds: Int) {
    let received = Instant(milliseconds: 1_795_381_200_000)
    #expect(SLA.deadline(quality: quality, receivedAt: received) == received.adding(seconds: seconds))
  }
}
