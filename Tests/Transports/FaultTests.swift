import Foundation
import Sink
import Testing
import Wire

/// A sink in this process that fails according to a fault plan.
final class FailingSink {
  private let folder: Folder
  private let server: Task<Void, any Error>
  let base: String
  let smtpPort: Int

  init(_ plan: String) async throws {
    let folder = try Folder()
    let file = folder.url.appending(path: "messages.ndjson").path
    let plan = try FaultPlan(reading: Array(plan.utf8))
    let (ports, continuation) = AsyncStream.makeStream(of: [Int].self)
    server = Task { try await Sink(file: file, plan: plan).run { continuation.yield([$0, $1]) } }
    self.folder = folder
    var iterator = ports.makeAsyncIterator()
    let bound = try #require(await iterator.next())
    base = "http://127.0.0.1:\(bound[0])"
    smtpPort = bound[1]
  }

  deinit { server.cancel() }

  /// The messages that the sink accepted, as it stored them.
  var messages: [JSON] {
    get throws { try folder.text("messages.ndjson").split(separator: "\n").map { try JSON(reading: String($0)) } }
  }

  /// Sends deliveries of one channel through its notifier.
  func send(_ lines: [JSON], deadlineMs: Int? = nil, isResend: Bool = false) async throws -> (
    outcomes: [JSON], log: String
  ) {
    let channel = lines[0]["channel"]?.string ?? ""
    var environment = [
      "SLACK_WEBHOOK_URL": base + "/services/T0/B0/cAnArYsEcReT", "TELEGRAM_API_URL": base,
      "TELEGRAM_BOT_TOKEN": "1:cAnArYsEcReT", "TELEGRAM_CHAT_ID": "-100123", "EMAIL_HOST": "127.0.0.1",
      "EMAIL_PORT": "\(smtpPort)", "EMAIL_FROM": "leads@agency.example", "EMAIL_USER": "u", "EMAIL_PASS": "p",
      // As started by the worker: a person who starts a stream gets a summary in the log.
      "LEADPIPE_SUPERVISED": "1",
    ]
    if isResend { environment.merge(["RESEND_API_KEY": "re_cAnArYsEcReT", "RESEND_API_URL": base]) { $1 } }
    let input = lines.map { line -> String in
      guard let deadlineMs else { return line.text }
      let deadline = JSON(Instant.now.milliseconds + deadlineMs)
      let request: JSON = [
        "requestContext": ["http": ["method": "POST"], "x": ["deadlineMs": deadline]],
        "headers": ["content-type": "application/json"], "body": .string(line.text),
      ]
      return request.text
    }
    let run = try await Run(
      "notify-\(channel)", ["--stream"], input: input.joined(separator: "\n") + "\n", environment: environment)
    #expect(!(run.output + run.log).contains("cAnArYsEcReT"))
    let outcomes = try run.lines.map { reply in
      try (reply["body"]?.string.map { try JSON(reading: $0) } ?? reply)["outcome"] ?? .null
    }
    return (outcomes, run.log)
  }

  static func line(_ channel: String, payload: JSON = Sample.chatbot) -> JSON {
    let recipient = ["telegram": "-100123", "email": "desk@agency.example"][channel] ?? "default"
    return Sample.line(channel, recipient, payload: payload)
  }
}

@Suite("The notifiers when providers fail", .timeLimit(.minutes(1)))
struct FaultTests {
  typealias Row = (fault: String, class: String, code: String?)

  static func check(_ channel: String, _ rows: [Row]) async throws {
    let faults = rows.map { "{\($0.fault)}" }.joined(separator: ",")
    let sink = try await FailingSink("{\"\(channel)\":[\(faults)]}")
    let lines = (0...rows.count).map { _ in FailingSink.line(channel) }
    let (outcomes, _) = try await sink.send(lines)
    try #require(outcomes.count == rows.count + 1)
    for (row, outcome) in zip(rows, outcomes) {
      #expect(outcome["class"]?.string == row.class, "\(row.fault): \(outcome.text)")
      if let code = row.code { #expect(outcome["providerCode"]?.string == code, "\(row.fault)") }
    }
    #expect(outcomes.last?["class"] == "delivered", "the delivery after the faults succeeds")
  }

  @Test("Slack's faults become outcomes")
  func slack() async throws {
    try await Self.check(
      "slack",
      [
        (#""fail":"refuse","say":"invalid_payload""#, "permanent", "invalid_payload"),
        (#""fail":"refuse","say":"no_service""#, "config", "no_service"),
        (#""fail":"refuse","say":"channel_is_archived""#, "config", "channel_is_archived"),
        (#""fail":"refuse","say":"rate_limited","retryAfter":7"#, "throttled", "rate_limited"),
        (#""fail":"refuse","say":"rollup_error""#, "retry", "rollup_error"),
        (#""fail":"refuse","status":503,"retryAfter":9"#, "retry", nil),
        (#""fail":"refuse","status":302"#, "config", nil), (#""fail":"garble""#, "unknown", nil),
        (#""fail":"reset","at":"head""#, "unknown", nil), (#""fail":"reset","at":"body""#, "unknown", nil),
        (#""fail":"drop","at":"body""#, "unknown", "curl 52"), (#""fail":"slow","milliseconds":300"#, "delivered", nil),
      ])
  }

  @Test("Telegram's faults become outcomes")
  func telegram() async throws {
    try await Self.check(
      "telegram",
      [
        (#""fail":"refuse","say":"Bad Request: chat not found""#, "config", nil),
        (#""fail":"refuse","say":"Unauthorized""#, "config", nil),
        (#""fail":"refuse","say":"Forbidden: bot was blocked by the user""#, "config", nil),
        (#""fail":"refuse","say":"Too Many Requests","retryAfter":7"#, "throttled", nil),
        (#""fail":"refuse","say":"Internal Server Error: restart""#, "retry", nil),
        (#""fail":"refuse","status":502"#, "retry", nil), (#""fail":"garble""#, "unknown", nil),
        (#""fail":"reset","at":"body""#, "unknown", nil), (#""fail":"drop","at":"body""#, "unknown", "curl 52"),
      ])
  }

  @Test("a mail server's faults become outcomes, at every stage")
  func mail() async throws {
    try await Self.check(
      "email",
      [
        (#""fail":"refuse","at":"greeting","say":"421 4.3.2 busy""#, "retry", "4.3.2"),
        (#""fail":"refuse","at":"auth","say":"454 4.7.0 later""#, "retry", "4.7.0"),
        (#""fail":"refuse","at":"auth","say":"535 5.7.8 no""#, "config", "5.7.8"),
        (#""fail":"refuse","at":"mail","say":"451 4.3.0 later""#, "retry", "4.3.0"),
        (#""fail":"refuse","at":"rcpt","say":"450 4.2.0 busy""#, "retry", "4.2.0"),
        (#""fail":"refuse","at":"rcpt","say":"550 5.1.1 who""#, "permanent", "5.1.1"),
        (#""fail":"refuse","at":"data","say":"452 4.3.1 full""#, "retry", "4.3.1"),
        (#""fail":"refuse","at":"body","say":"451 4.7.1 grey""#, "retry", "4.7.1"),
        (#""fail":"refuse","at":"body","say":"554 5.6.0 no""#, "permanent", "5.6.0"),
        (#""fail":"greylist""#, "retry", "4.7.1"), (#""fail":"drop","at":"body""#, "unknown", nil),
        (#""fail":"drop","at":"rcpt""#, "retry", nil), (#""fail":"reset","at":"body""#, "unknown", nil),
        (#""fail":"refuse","at":"greeting","say":"554 5.3.2 nobody""#, "config", nil),
        (#""fail":"slow","at":"data","milliseconds":300"#, "delivered", nil),
      ])
  }

  @Test("a provider that hangs times out, and the outcome is unknown", arguments: ["slack", "telegram", "email"])
  func hang(channel: String) async throws {
    let sink = try await FailingSink("{\"\(channel)\":[{\"fail\":\"hang\",\"taken\":true}]}")
    let start = Date.now
    let (outcomes, _) = try await sink.send([FailingSink.line(channel)], deadlineMs: 4500)
    #expect(outcomes.first?["class"] == "unknown", "\(outcomes)")
    #expect(Date.now.timeIntervalSince(start) < 15)
    #expect(try sink.messages.count == 1)
  }
}
