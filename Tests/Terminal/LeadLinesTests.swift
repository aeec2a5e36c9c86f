import Terminal
import Testing

@Suite("Short lines for leads") struct LeadLinesTests {
  private let created =
    "2026-11-27T23:38:28.077Z [INFO] Successfully created conversation e211e4c8-6fae-4aa4-a6c5-8209e1e38327 requestId=r1"
  private let sent =
    "2026-11-27T23:38:28.314Z [INFO] Notifications sent via: slack, email, telegram event=4a249d8f conversation=e211e4c8-6fae-4aa4-a6c5-8209e1e38327 requestId=r1"

  @Test("a lead with its notifications is one line") func one() {
    var lines = LeadLines()
    let log = [
      created, "2026-11-27T23:38:28.077Z [INFO] Event emitted: lead.created requestId=r1",
      "2026-11-27T23:38:28.081Z [INFO] POST /api/chatbot/leads 201 requestId=r1 handler=lead-capture queueMs=2",
      "2026-11-27T23:38:28.191Z [INFO] slack delivery 00961169-885b delivered status=200 ms=4 requestId=r1", sent,
    ]
    let shown = log.flatMap { lines.take($0, now: 0) } + lines.end()
    #expect(shown == ["23:38:28  lead e211e4c86fae4aa4 stored, sent via slack, email, telegram"])
  }

  @Test("a lead does not wait longer than three seconds for its notifications") func late() {
    var lines = LeadLines()
    #expect(lines.take(created, now: 0).isEmpty && lines.isWaiting)
    #expect(lines.due(now: 2999).isEmpty)
    #expect(lines.due(now: 3000) == ["23:38:28  lead e211e4c86fae4aa4 stored"])
    #expect(!lines.isWaiting)
    #expect(lines.take(sent, now: 9000) == ["23:38:28  lead e211e4c86fae4aa4 sent via slack, email, telegram"])
  }

  @Test("a lead that another program stored is named too") func elsewhere() {
    var lines = LeadLines()
    #expect(lines.take(sent, now: 0) == ["23:38:28  lead e211e4c86fae4aa4 sent via slack, email, telegram"])
    let newsletter = "2026-11-27T23:38:28.314Z [INFO] Notifications sent via: slack event=4a249d8f requestId=r2"
    #expect(lines.take(newsletter, now: 0) == ["23:38:28  notifications sent via slack"])
  }

  @Test("a warning follows the line of its lead") func warning() {
    var lines = LeadLines()
    let warning = "2026-11-27T23:38:28.200Z [WARN] slack delivery 00961169-885b retry status=none requestId=r1"
    let other = "2026-11-27T23:38:28.200Z [WARN] slack delivery 00961169-885b retry status=none requestId=r2"
    #expect(lines.take(created, now: 0).isEmpty)
    #expect(lines.take(other, now: 0) == [other])
    #expect(lines.take(warning, now: 0) == ["23:38:28  lead e211e4c86fae4aa4 stored", warning])
    #expect(lines.take(sent, now: 9000) == ["23:38:28  lead e211e4c86fae4aa4 sent via slack, email, telegram"])
  }

  @Test("several leads do not mix") func several() {
    var lines = LeadLines()
    let id = "aaaaaaaa-6fae-4aa4-a6c5-8209e1e38327"
    let other = "2026-11-27T23:38:29.000Z [INFO] Continued conversation \(id) requestId=r2"
    let shown = [created, other, sent].flatMap { lines.take($0, now: 0) } + lines.end()
    #expect(
      shown == [
        "23:38:28  lead e211e4c86fae4aa4 stored, sent via slack, email, telegram",
        "23:38:29  lead aaaaaaaa6fae4aa4 continued",
      ])
  }

  @Test(
    "warnings, errors and foreign lines are unchanged",
    arguments: [
      "2026-11-27T23:38:35.197Z [WARN] All notification channels failed event=x", "PORT must be a whole number",
      "2026-11-27T23:38:35.197Z [ERROR] Conversation insert error status=503 requestId=r", "", "[INFO] x",
      "2026-11-27T23:38:35.197Z hello: [INFO] forged", #"{"level":"INFO"}"#,
    ])
  func unchanged(line: String) {
    var lines = LeadLines()
    #expect(lines.take(line, now: 0) == [line])
  }

  @Test("requests that failed are shown, others are not") func requests() {
    var lines = LeadLines()
    #expect(
      lines.take("2026-11-27T23:38:35.197Z [INFO] POST /api/contact 400 requestId=r bytes=1", now: 0) == [
        "23:38:35  POST /api/contact 400"
      ])
    #expect(
      lines.take("2026-11-27T23:38:35.197Z [INFO] POST - 404 requestId=r path=/api/lead bytes=185", now: 0) == [
        "23:38:35  POST /api/lead 404"
      ])
    #expect(lines.take("2026-11-27T23:38:35.197Z [INFO] GET /health 200 requestId=r bytes=1", now: 0).isEmpty)
    #expect(
      lines.take("2026-11-27T23:38:35.197Z [INFO] Handlers reloaded handlers=3", now: 0) == [
        "23:38:35  Handlers reloaded handlers=3"
      ])
  }
}
