import Delivery
import Leads
import Testing
import Wire

@Suite("What a provider's answer means")
struct OutcomeTests {
  typealias Class = DeliveryOutcome.Class
  static let now = Instant(milliseconds: 784_111_777_000)  // Sun, 06 Nov 1994 08:49:37 GMT

  @Test(
    "Slack's answers",
    arguments: [
      (200, "ok", .delivered), (200, "ok\n", .delivered), (200, "<html>hello</html>", .unknown), (302, "", .config),
      (400, "invalid_payload", .permanent), (400, "user_not_found", .config), (403, "action_prohibited", .config),
      (403, "invalid_token", .config), (404, "no_service", .config), (410, "channel_is_archived", .config),
      (400, "no_text", .permanent), (400, "something_new", .permanent), (404, "something_new", .config),
      (500, "rollup_error", .retry), (502, "<html>", .retry), (503, "", .retry), (429, "rate_limited", .throttled),
      (429, "{\"ok\":false,\"error\":\"rate_limited\"}", .throttled), (408, "", .retry), (501, "", .permanent),
    ] as [(Int, String, Class)])
  func slack(status: Int, body: String, expected: Class) {
    let outcome = Slack.outcome(of: HTTPAnswer(status: status, body: Array(body.utf8)), hiding: [], now: Self.now)
    #expect(outcome.class == expected)
    #expect(outcome.statusCode == status)
    #expect((outcome.retryAfterSeconds != nil) == (expected == .throttled))
  }

  @Test("Slack's reason is one clean sentence")
  func slackReason() {
    let outcome = { (body: String) in
      Slack.outcome(of: HTTPAnswer(status: 500, body: Array(body.utf8)), hiding: ["hunter2"], now: Self.now).reason
    }
    #expect(outcome("rollup_error") == "Slack answered 500: rollup_error")
    #expect(outcome("") == "Slack answered 500")
    let dirty = outcome(
      "see https://hooks.slack.com/services/T/B/x or mail a@b.example, hunter2 \u{1B}[31m +971501234567")
    #expect(dirty == "Slack answered 500: see … or mail … [31m …")
  }

  @Test(
    "Telegram's answers",
    arguments: [
      (200, #"{"ok":true,"result":{"message_id":42}}"#, .delivered), (200, "<html>", .unknown),
      (200, #"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#, .config),
      (400, #"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#, .config),
      (400, #"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: x"}"#, .permanent),
      (401, #"{"ok":false,"error_code":401,"description":"Unauthorized"}"#, .config),
      (403, #"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#, .config),
      (404, #"{"ok":false,"error_code":404,"description":"Not Found"}"#, .config), (502, "bad gateway", .retry),
      (429, #"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":17}}"#, .throttled),
    ] as [(Int, String, Class)])
  func telegram(status: Int, body: String, expected: Class) {
    let outcome = Telegram.outcome(of: HTTPAnswer(status: status, body: Array(body.utf8)), hiding: [], now: Self.now)
    #expect(outcome.class == expected)
    if expected == .delivered { #expect(outcome.providerID == "42") }
    if expected == .throttled { #expect(outcome.retryAfterSeconds == 17) }
  }

  @Test(
    "a mail server's answers",
    arguments: [
      (0, 250, "250 2.0.0 Ok: queued as ABC", .delivered), (8, 421, "421 too busy", .retry),
      (67, 535, "535 5.7.8 no", .config),
      (67, 454, "454 4.7.0 later", .retry), (55, 451, "451 4.3.0 x", .retry),
      (55, 550, "550 5.1.1 no such user", .permanent),
      (55, 550, "550 5.7.1 policy", .config), (8, 554, "554 spam", .permanent), (56, 354, "354 go on", .unknown),
      (28, 354, "354 go on", .unknown), (64, 250, "250 AUTH", .config), (60, 220, "220 go", .config),
      (7, 0, "", .retry),
      (6, 0, "", .retry), (28, 250, "250 ok", .retry), (67, 250, "250 ok", .config),
      (55, 530, "530 5.7.0 TLS first", .config),
    ] as [(Int, Int, String, Class)])
  func mail(code: Int, status: Int, line: String, expected: Class) {
    let answer = SMTPAnswer(curlCode: code, status: status, lines: ["220 hello", line, "221 bye"])
    let outcome = Mail.outcome(of: answer, hiding: [])
    #expect(outcome.class == expected)
    if expected == .delivered { #expect(outcome.providerID == "ABC" && outcome.reason == nil) }
  }

  @Test(
    "a transfer that broke",
    arguments: [
      (7, 0, 0, .retry), (6, 0, 0, .retry), (28, 0, 0, .retry), (35, 0, 0, .retry), (60, 0, 0, .config),
      (3, 0, 0, .config),
      (28, 0, 512, .unknown), (52, 0, 512, .unknown), (56, 0, 512, .unknown), (18, 200, 512, .unknown),
      (18, 500, 512, nil),
      (0, 200, 512, nil),
    ] as [(Int, Int, Int, Class?)])
  func transport(code: Int, status: Int, uploaded: Int, expected: Class?) {
    let answer = HTTPAnswer(curlCode: code, status: status, uploaded: uploaded)
    #expect(answer.transportOutcome("Slack")?.class == expected)
  }

  @Test(
    "Retry-After in all its forms",
    arguments: [
      ("30", 30), (" 30 ", 30), ("1.2", 2), ("0", 1), ("99999999999999999999", 86_400), ("-1", nil), ("+5", nil),
      ("1e3", nil), ("nan", nil), ("", nil), ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
      ("Sun, 06 Nov 1994 08:00:00 GMT", 1),
      ("Sun, 06 Foo 1994 08:00:00 GMT", nil), ("soon", nil),
    ] as [(String, Int?)])
  func retryAfter(text: String, expected: Int?) {
    #expect(RetryAfter.seconds(text, now: Self.now) == expected)
  }

  @Test(
    "an excerpt keeps no secret and no address",
    arguments: [
      ("token 123456:AAE-xyz_0123456789012345678901 bad", "token … bad"), ("<bob@example.com> unknown", "… unknown"),
      ("call 0501234567 now", "call … now"), ("my pass is s3cret!", "my pass is …"), ("line\r\nbreak", "line break"),
      ("سارة said no", "said no"),
    ])
  func excerpt(text: String, expected: String) {
    #expect(Excerpt.clean(text, hiding: ["s3cret!"]) == expected)
  }
}
