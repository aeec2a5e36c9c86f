import Deliveries
import Foundation
import Testing
import Transports
import Wire

@Suite("Email through Resend", .timeLimit(.minutes(1)))
struct ResendTests {
  @Test(
    "classifies Resend's replies",
    arguments: [
      (200, #"{"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}"#, .delivered), (200, "{}", .unknown), (200, "", .unknown),
      (400, #"{"name":"validation_error"}"#, .permanent), (400, #"{"name":"invalid_idempotency_key"}"#, .permanent),
      (401, #"{"name":"missing_api_key"}"#, .config), (401, #"{"name":"restricted_api_key"}"#, .config),
      (403, #"{"name":"invalid_api_key"}"#, .config), (403, #"{"name":"validation_error"}"#, .config),
      (404, "", .config), (409, #"{"name":"invalid_idempotent_request"}"#, .permanent),
      (409, #"{"name":"concurrent_idempotent_requests"}"#, .retry),
      (422, #"{"name":"missing_required_field"}"#, .permanent),
      (429, #"{"name":"rate_limit_exceeded"}"#, .throttled), (429, #"{"name":"daily_quota_exceeded"}"#, .throttled),
      (429, "", .throttled), (500, #"{"name":"application_error"}"#, .retry), (502, "<html>", .retry),
      (302, "", .config),
    ] as [(Int, String, DeliveryOutcome.Class)])
  func replies(status: Int, body: String, expected: DeliveryOutcome.Class) {
    var answer = HTTPResult(status: status, body: Array(body.utf8))
    let outcome = Resend.outcome(of: answer, hiding: [], now: .now)
    #expect(outcome.class == expected)
    #expect((outcome.retryAfterSeconds != nil) == (expected == .throttled))
    guard expected == .throttled else { return }
    #expect(outcome.retryAfterSeconds == (body.contains("quota") ? 3600 : 30))
    answer.rateLimitReset = "12"
    #expect(Resend.outcome(of: answer, hiding: [], now: .now).retryAfterSeconds == 12)
    answer.retryAfter = "9"
    #expect(Resend.outcome(of: answer, hiding: [], now: .now).retryAfterSeconds == 9)
  }

  @Test("an email arrives, and repeating it sends no second one")
  func arrives() async throws {
    let sink = try await FailingSink(#"{"resend":[{"fail":"drop","taken":true}]}"#)
    let line = FailingSink.line("email").setting("eventAt", .string(Instant.now.iso8601))
    let (outcomes, log) = try await sink.send([line, line.setting("possibleRepeat", true)], isResend: true)
    #expect(outcomes.map { $0["class"]?.string } == ["unknown", "delivered"])
    #expect(outcomes[1]["providerId"] == "SINK1" && !log.contains("@"))
    let messages = try sink.messages
    #expect(messages.count == 1 && messages[0]["channel"] == "resend")
    #expect(messages[0]["recipient"] == "desk@agency.example")
    #expect(messages[0]["subject"]?.string == "🤖 New Chatbot Lead: \(Sample.name)")
    #expect(messages[0]["body"]?.string?.contains("Phone: +971501234567") == true)
  }

  @Test("after a day, when its key has expired, a possible repeat is marked")
  func late() async throws {
    let sink = try await FailingSink(#"{"resend":[{"fail":"drop","taken":true}]}"#)
    let line = FailingSink.line("email").setting("eventAt", .string(Instant.now.adding(seconds: -90_000).iso8601))
    let (outcomes, _) = try await sink.send([line, line.setting("possibleRepeat", true)], isResend: true)
    #expect(outcomes.map { $0["class"]?.string } == ["unknown", "delivered"])
    let subjects = try sink.messages.map { $0["subject"]?.string?.hasSuffix(" (possible repeat)") }
    #expect(subjects == [false, true])
  }

  @Test("refusals become outcomes")
  func refusals() async throws {
    let faults = [
      (#""say":"rate_limit_exceeded","retryAfter":7"#, "throttled"), (#""say":"invalid_api_key""#, "config"),
      (#""say":"concurrent_idempotent_requests""#, "retry"), (#""say":"validation_error""#, "permanent"),
      (#""say":"validation_error","status":403"#, "config"), (#""status":503"#, "retry"),
    ]
    let plan = faults.map { "{\"fail\":\"refuse\",\($0.0)}" }.joined(separator: ",")
    let sink = try await FailingSink("{\"resend\":[\(plan)]}")
    let (outcomes, _) = try await sink.send((0...faults.count).map { _ in FailingSink.line("email") }, isResend: true)
    #expect(outcomes.map { $0["class"]?.string } == faults.map(\.1) + ["delivered"])
  }

  @Test("text from a customer never becomes another member or recipient", arguments: Sample.hostile)
  func hostile(text: String) throws {
    let id = try #require(UUIDText(Sample.deliveryID))
    let from = try #require(Mailbox("Last, Zoë <leads@agency.example>"))
    let to = try #require(Mailbox(address: "desk@agency.example"))
    let notification = Sample.notification(
      Sample.chatbot.setting("customerName", .string(text)).setting("customerEmail", .string(text)))
    let payload = Resend.payload(MailContent(notification), id: id, from: from, to: to)
    #expect(payload["to"] == ["desk@agency.example"] && payload["from"] == "\"Last, Zoë\" <leads@agency.example>")
    #expect(payload.members?.map(\.key) == ["from", "to", "subject", "text", "html", "headers"])
    #expect(payload["subject"]?.string?.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } == true)
    #expect(payload["html"]?.string?.contains("<img") == false)
    #expect(payload == Resend.payload(MailContent(notification), id: id, from: from, to: to))
  }

  @Test("the outcome reports a missing sender or an invalid key, without the key")
  func settings() async throws {
    for environment in [["RESEND_API_KEY": "re_x"], ["RESEND_API_KEY": "re x", "EMAIL_FROM": "a@b.example"]] {
      let run = try await Run("notify-email", input: FailingSink.line("email").text, environment: environment)
      let outcome = try run.lines.first?["outcome"]
      #expect(outcome?["class"] == "config" && outcome?["reason"]?.string?.contains("re x") == false)
      #expect(outcome?["reason"]?.string?.contains("EMAIL_HOST") == false)
    }
  }
}
