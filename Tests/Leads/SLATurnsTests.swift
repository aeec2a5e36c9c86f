import Leads
import Testing
import Wire

@Suite("The turns of agents") struct SLATurnsTests {
  @Test("without office hours a turn is the response time") func roundTheClock() throws {
    let now = try #require(Instant(iso8601: "2026-11-20T14:00:00Z"))
    #expect(
      SLA.served(now).mapValues(\.iso8601) == [
        "hot": "2026-11-20T13:45:00.000Z", "warm": "2026-11-20T13:00:00.000Z", "cold": "2026-11-19T14:00:00.000Z",
      ])
  }

  @Test(
    "counts office hours: a turn that began then has ended, one that began a millisecond later has not",
    arguments: Lead.qualities,
    [
      "2026-11-20T14:35:00Z", "2026-11-20T18:00:00Z", "2026-11-21T06:05:00Z", "2026-11-22T12:00:00Z",
      "2026-11-23T05:00:00Z", "2026-11-23T05:07:30.250Z",
    ])
  func officeHours(quality: String, at: String) throws {
    let hours = try OfficeHours("Mon-Fri 09:00-18:30, Sat 10:00-15:00") { _ in 4 * 3600 }
    let now = try #require(Instant(iso8601: at))
    let start = try #require(SLA.served(now, within: hours)[quality])
    #expect(SLA.deadline(quality: quality, receivedAt: start, within: hours) <= now)
    #expect(SLA.deadline(quality: quality, receivedAt: start.adding(milliseconds: 1), within: hours) > now)
  }
}
