import Deliveries
import Testing
import Transports
import Wire

@Suite("Outcomes of providers' replies")
struct OutcomeTests {
  typealias Class = DeliveryOutcome.Class
  static let now = Instant(milliseconds: 784_111_777_000)  // Sun, 06 Nov 1994 08:49:37 GMT

  @Test(
    "Slack's error code decides, then the status",
    arguments: [
      (200, "ok", .delivered), (200, "ok\n", .delivered), (200, "<html>hello</html>", .unknown), (200, "", .unknown),
      (302, "", .config), (301, "ok", .config),
      (400, "invalid_payload", .permanent), (400, "user_not_found", .config), (403, "action_prohibited", .config),
      (404, "channel_not_found", .config), (410, "channel_is_archived", .config), (500, "rollup_error", .retry),
      (403, "invalid_token", .config), (404, "no_active_hooks", .config), (404, "no_service", .config),
      (400, "no_service_id", .config), (404, "no_team", .config), (403, "team_disabled", .config),
      (403, "posting_to_general_channel_denied", .config), (400, "no_text", .permanent),
      (400, "too_many_attachments", .permanent), (400, "invalid_blocks", .permanent),
      (400, "invalid_blocks_format", .permanent), (400, "msg_blocks_too_long", .permanent),
      (429, "rate_limited", .throttled), (429, "{\"ok\":false,\"error\":\"rate_limited\"}", .throttled),
      (429, "", .throttled), (400, "rate_limited", .throttled), (400, "something_new", .permanent),
      (401, "something_new", .config), (403, "something_new", .config), (404, "something_new", .config),
      (410, "something_new", .config), (402, "something_new", .permanent), (502, "<html>", .retry), (503, "", .retry),
      (504, "", .retry), (408, "", .retry), (425, "", .retry), (501, "", .permanent), (505, "", .permanent),
      // A code for a configuration error is not temporary, whatever the status.
      (500, "no_service", .config),
    ] as [(Int, String, Class)])
  func slack(status: Int, body: String, expected: Class) {
    let outcome = Slack.outcome(of: HTTPResult(status: status, body: Array(body.utf8)), hiding: [], now: Self.now)
    #expect(outcome.class == expected)
    #expect(outcome.statusCode == status)
    #expect(outcome.retryAfterSeconds == (expected == .throttled ? 30 : nil))
    if let code = Excerpt.token(body), code != "ok" { #expect(outcome.providerCode == code) }
  }

  @Test(
    "takes the wait from the header or the body, up to a day",
    arguments: [
      ("7", "", 7), (nil, #"{"ok":false,"retry_after":9}"#, 9), ("7", #"{"retry_after":9}"#, 7),
      ("Sun, 06 Nov 1994 08:50:07 GMT", "", 30), ("0", "", 1), ("1000000", "", 86_400), ("soon", "", 30),
      (nil, #"{"retry_after":-1}"#, 1),
    ] as [(String?, String, Int)])
  func slackWait(header: String?, body: String, expected: Int) {
    let answer = HTTPResult(status: 429, retryAfter: header, body: Array(body.utf8))
    #expect(Slack.outcome(of: answer, hiding: [], now: Self.now).retryAfterSeconds == expected)
    let later = HTTPResult(status: 503, retryAfter: header, body: Array(body.utf8))
    let wait = Slack.outcome(of: later, hiding: [], now: Self.now)
    #expect(wait.class == .retry && wait.retryAfterSeconds == (expected == 30 && header == "soon" ? nil : expected))
  }

  @Test("the reason is one line without secrets, addresses or control characters")
  func slackReason() {
    let outcome = { (body: String) in
      Slack.outcome(of: HTTPResult(status: 500, body: Array(body.utf8)), hiding: ["hunter2"], now: Self.now).reason
    }
    #expect(outcome("rollup_error") == "Slack answered 500: rollup_error")
    #expect(outcome("") == "Slack answered 500")
    let dirty = outcome(
      "see https://hooks.slack.com/services/T/B/x or mail a@b.example, hunter2 \u{1B}[31m +971501234567")
    #expect(dirty == "Slack answered 500: see … or mail … [31m …")
  }

  /// Each row has Telegram's code, description and parameters.
  @Test(
    "classifies Telegram's refusals",
    arguments: [
      (400, "Bad Request: group chat was upgraded to a supergroup chat", #"{"migrate_to_chat_id":-1001}"#, .config),
      (400, "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0", nil, .permanent),
      (400, "Bad Request: message is too long", nil, .permanent),
      (400, "Bad Request: message text is empty", nil, .permanent), (400, "Bad Request: chat not found", nil, .config),
      (400, "Bad Request: something new", nil, .permanent), (401, "Unauthorized", nil, .config),
      (403, "Forbidden: bot was blocked by the user", nil, .config),
      (403, "Forbidden: user is deactivated", nil, .config),
      (403, "Forbidden: bot was kicked from the group chat", nil, .config),
      (403, "Forbidden: bot was kicked from the supergroup chat", nil, .config),
      (403, "Forbidden: bot is not a member of the channel chat", nil, .config),
      (403, "Forbidden: the group chat was deleted", nil, .config), (403, "Forbidden: something new", nil, .config),
      (404, "Not Found", nil, .config), (409, "Conflict: terminated by other getUpdates request", nil, .permanent),
      (429, "Too Many Requests: retry after 17", #"{"retry_after":17}"#, .throttled),
      (500, "Internal Server Error", nil, .retry), (500, "Internal Server Error: restart", nil, .retry),
      (502, "Bad Gateway", nil, .retry), (504, "Gateway Timeout", nil, .retry),
    ] as [(Int, String, String?, Class)])
  func telegramRefusals(code: Int, description: String, parameters: String?, expected: Class) {
    var reply: JSON = ["ok": false, "error_code": JSON(code), "description": .string(description)]
    if let parameters { reply = reply.setting("parameters", (try? JSON(reading: parameters)) ?? .null) }
    for status in [code, 200] {
      let outcome = Telegram.outcome(of: HTTPResult(status: status, body: reply.bytes), hiding: [], now: Self.now)
      #expect(outcome.class == expected, "the body decides, whatever the HTTP status")
      #expect(outcome.retryAfterSeconds == (expected == .throttled ? 17 : nil))
      #expect(outcome.statusCode == status && outcome.reason?.hasPrefix("T") == true)
    }
  }

  @Test(
    "classifies Telegram's other replies",
    arguments: [
      (200, #"{"ok":true,"result":{"message_id":42}}"#, nil, .delivered, nil), (200, "<html>", nil, .unknown, nil),
      (200, "{}", nil, .unknown, nil), (200, "", nil, .unknown, nil), (502, "bad gateway", nil, .retry, nil),
      (503, "", "5", .retry, 5), (302, "", nil, .config, nil), (429, "<html>", nil, .throttled, 30),
      (429, "<html>", "8", .throttled, 8), (429, #"{"ok":false,"error_code":429}"#, "8", .throttled, 8),
      (429, #"{"ok":false,"error_code":429,"parameters":{"retry_after":999999}}"#, "8", .throttled, 86_400),
      (500, #"{"ok":true}"#, nil, .retry, nil), (404, "<html>", nil, .config, nil),
      (400, "<html>", nil, .permanent, nil),
    ] as [(Int, String, String?, Class, Int?)])
  func telegram(status: Int, body: String, header: String?, expected: Class, wait: Int?) {
    let answer = HTTPResult(status: status, retryAfter: header, body: Array(body.utf8))
    let outcome = Telegram.outcome(of: answer, hiding: [], now: Self.now)
    #expect(outcome.class == expected)
    #expect(outcome.retryAfterSeconds == wait)
    if expected == .delivered { #expect(outcome.providerID == "42") }
  }

  @Test(
    "classifies a mail server's replies",
    arguments: [
      (0, 250, "250 2.0.0 Ok: queued as ABC", .delivered), (8, 421, "421 too busy", .retry),
      (67, 535, "535 5.7.8 no", .config), (67, 454, "454 4.7.0 later", .retry), (55, 451, "451 4.3.0 x", .retry),
      (55, 450, "450 4.2.0 busy", .retry), (55, 452, "452 4.3.1 full", .retry), (8, 451, "451 4.7.1 grey", .retry),
      (55, 550, "550 5.1.1 no such user", .permanent), (55, 553, "553 5.1.3 syntax", .permanent),
      (55, 552, "552 5.3.4 too big", .permanent), (55, 550, "550 5.7.1 policy", .config),
      (55, 550, "550 5.1.8 sender's domain", .config), (8, 554, "554 spam", .permanent),
      (8, 554, "554 5.7.1 policy", .config), (56, 354, "354 go on", .unknown), (55, 354, "354 go on", .unknown),
      (28, 354, "354 go on", .unknown), (64, 250, "250 AUTH", .config), (64, 454, "454 4.7.0 TLS later", .retry),
      (60, 220, "220 go", .config), (7, 0, "", .retry), (6, 0, "", .retry), (28, 0, "", .retry), (35, 0, "", .retry),
      (28, 250, "250 ok", .retry), (56, 250, "250 ok", .retry), (67, 250, "250 ok", .config),
      (55, 530, "530 5.7.0 TLS first", .config), (67, 534, "534 5.7.9 too weak", .config),
      (67, 538, "538 5.7.11 TLS first", .config), (9, 550, "550 who are you", .config),
      (9, 421, "421 busy", .retry),
    ] as [(Int, Int, String, Class)])
  func mail(code: Int, status: Int, line: String, expected: Class) {
    let answer = SMTPResult(curlCode: code, status: status, lines: ["220 hello", line, "221 bye"])
    let outcome = SMTP.outcome(of: answer, hiding: [])
    #expect(outcome.class == expected)
    if expected == .delivered { #expect(outcome.providerID == "ABC" && outcome.reason == nil) }
  }

  @Test(
    "joins the lines of a reply",
    arguments: [
      (
        [
          "235-x", "535-5.7.8 Username and Password not accepted. For more information, go to",
          "535 5.7.8  https://support.google.com/mail/?p=BadCredentials ab12-20020a05", "221 bye",
        ], "Username and Password not accepted. For more information, go to … ab12-20020a05", "5.7.8"
      ),
      (
        ["535-5.7.139 Authentication unsuccessful,", "535-the account is locked", "535"],
        "Authentication unsuccessful, the account is locked", "5.7.139"
      ),
      (["535-5.7.8 an earlier reply", "535 5.7.8 of another attempt", "535 5.7.9 no"], "no", "5.7.9"),
      (["535-one", "535-two", "535 5.7.8 three"], "one two three", "5.7.8"), (["535"], "", nil),
    ] as [([String], String, String?)])
  func mailLines(lines: [String], text: String, code: String?) {
    let outcome = SMTP.outcome(of: SMTPResult(curlCode: 67, status: 535, lines: lines), hiding: [])
    #expect(outcome.class == .config && outcome.providerCode == code)
    #expect(outcome.reason == "The mail server answered 535" + (text.isEmpty ? "" : ": \(text)"))
  }

  @Test(arguments: [0, 150, 354, 999], [8, 28, 56, 0])
  func mailWithoutAVerdictIsUnknown(status: Int, code: Int) {
    let lines = ["220 hello", "250 ok", "354 go ahead"] + (status > 0 ? ["\(status) perhaps"] : [])
    let answer = SMTPResult(curlCode: code, status: status, lines: lines)
    #expect(SMTP.outcome(of: answer, hiding: []).class == .unknown)
    let early = SMTPResult(curlCode: code, status: status == 354 ? 150 : status, lines: ["220 hello", "150 perhaps"])
    #expect(SMTP.outcome(of: early, hiding: []).class == .retry)
  }

  @Test("a refusal in the greeting is a configuration error, not an error of the email")
  func mailGreeting() {
    let answer = SMTPResult(curlCode: 8, status: 554, lines: ["554 no service here", "221 bye"])
    #expect(SMTP.outcome(of: answer, hiding: []).class == .config)
  }

  @Test(
    "classifies a broken transfer",
    arguments: [
      (7, 0, 0, .retry), (6, 0, 0, .retry), (28, 0, 0, .retry), (35, 0, 0, .retry), (60, 0, 0, .config),
      (3, 0, 0, .config),
      (28, 0, 512, .unknown), (52, 0, 512, .unknown), (56, 0, 512, .unknown), (18, 200, 512, .unknown),
      (18, 500, 512, nil),
      (0, 200, 512, nil),
    ] as [(Int, Int, Int, Class?)])
  func transport(code: Int, status: Int, uploaded: Int, expected: Class?) {
    let answer = HTTPResult(curlCode: code, status: status, uploaded: uploaded)
    #expect(answer.transportOutcome("Slack")?.class == expected)
  }

  @Test(
    "parses every form of Retry-After",
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
    "an excerpt contains no secret and no address",
    arguments: [
      ("token 123456:AAE-xyz_0123456789012345678901 bad", "token … bad"), ("<bob@example.com> unknown", "… unknown"),
      ("call 0501234567 now", "call … now"), ("my pass is s3cret!", "my pass is …"), ("line\r\nbreak", "line break"),
      ("سارة said no", "said no"),
    ])
  func excerpt(text: String, expected: String) {
    #expect(Excerpt.clean(text, hiding: ["s3cret!"]) == expected)
  }
}
