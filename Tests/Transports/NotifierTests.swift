import Foundation
import Testing
import Wire

@Suite("The notifiers as programs", .timeLimit(.minutes(1)))
struct NotifierTests {
  static func slack(_ mode: JSON, deadlineMs: Int? = nil) async throws -> (outcome: JSON?, run: Run, received: [JSON]) {
    let stub = try await Stub(Script.http, mode)
    let scheme = mode["tls"] == nil ? "http" : "https"
    let url = "\(scheme)://127.0.0.1:\(stub.port)/services/T0/B0/cAnArYsEcReT"
    var input = Sample.line("slack")
    if let deadlineMs {
      input = [
        "requestContext": [
          "http": ["method": "POST"], "x": ["deadlineMs": JSON(Instant.now.milliseconds + deadlineMs)],
        ],
        "headers": ["content-type": "application/json"], "body": .string(input.text),
      ]
    }
    let run = try await Run("notify-slack", input: input.text + "\n", environment: ["SLACK_WEBHOOK_URL": url])
    #expect(!(run.output + run.log).contains("cAnArYsEcReT"))
    #expect(!run.log.contains("971501234567") && !run.log.contains("Zoë") && !run.log.contains("sara@"))
    #expect(run.status == 0)
    let reply = try run.lines.first
    let line = try reply?["body"]?.string.map { try JSON(reading: $0) } ?? reply
    return (line?["outcome"], run, try stub.received)
  }

  @Test(
    "Slack's statuses become outcomes, with one log line each",
    arguments: [
      (["body": "ok"], "delivered", "INFO"), (["status": 500, "body": "rollup_error"], "retry", "WARN"),
      (["status": 404, "body": "no_service"], "config", "WARN"),
      (["status": 302, "headers": ["Location": "/x"]], "config", "WARN"),
      (["status": 429, "body": "rate_limited", "headers": ["Retry-After": "7"]], "throttled", "WARN"),
      (["reset": true], "unknown", "WARN"), (["tls": true], "config", "WARN"),
      (["status": 500, "body": "0123456789abcdef", "times": 20_000], "retry", "WARN"),
    ] as [(JSON, String, String)])
  func slackStatuses(mode: JSON, expected: String, level: String) async throws {
    let (outcome, run, received) = try await Self.slack(mode)
    #expect(outcome?["class"]?.string == expected)
    #expect(run.log.dropFirst(25).hasPrefix("[\(level)] slack delivery \(Sample.deliveryID) \(expected) status="))
    #expect(run.log.split(separator: "\n").count == 1)
    #expect(received.count == (mode["tls"] == nil ? 1 : 0))
    if expected == "throttled" { #expect(outcome?["retryAfterSeconds"] == 7) }
    if expected == "delivered" {
      let payload = try JSON(reading: received[0]["body"]?.string ?? "")
      #expect(payload["blocks"]?.array?.count == 2)
      #expect(received[0]["request"] == "POST /services/T0/B0/cAnArYsEcReT HTTP/1.1")
    }
  }

  @Test("a slow provider is left at the deadline, with an unknown outcome")
  func slow() async throws {
    let start = Date.now
    let (outcome, _, received) = try await Self.slack(["sleep": 15], deadlineMs: 1200)
    // Long before the provider replies, also on a busy machine.
    #expect(Date.now.timeIntervalSince(start) < 14)
    #expect(outcome?["class"] == "unknown")
    #expect(outcome?["providerCode"] == "curl 28")
    #expect(received.count == 1)
  }

  @Test("a refused connection is a retry, and proxies of the environment are ignored")
  func refused() async throws {
    let environment = [
      "SLACK_WEBHOOK_URL": "http://127.0.0.1:1/services/x", "http_proxy": "http://127.0.0.1:2",
      "ALL_PROXY": "socks5://127.0.0.1:2",
    ]
    let run = try await Run("notify-slack", input: Sample.line("slack").text, environment: environment)
    #expect(try run.lines.first?["outcome"]?["providerCode"] == "curl 7")
    #expect(try run.lines.first?["outcome"]?["class"] == "retry")
  }

  @Test(
    "passes other lines unchanged, rejects an invalid one, and continues",
    arguments: [
      "notify-slack", "notify-telegram", "notify-email",
    ])
  func filter(program: String) async throws {
    let channel = program.dropFirst(7)
    let other = Sample.line(channel == "slack" ? "email" : "slack", "desk@agency.example")
    let done = Sample.line(String(channel)).setting("outcome", ["class": "lost", "extra": 1])
    let input = [other.text, #"{"id":1}"#, done.text, Sample.line(String(channel)).text].joined(separator: "\n") + "\n"
    let run = try await Run(program, ["--stream"], input: input)
    let lines = try run.lines
    #expect(lines.count == 4)
    #expect(lines[0] == other && lines[2] == done)
    #expect(lines[1]["problem"]?["status"] == 400)
    #expect(lines[3]["outcome"]?["class"] == "config")
    #expect(lines[3]["outcome"]?["reason"]?.string?.hasSuffix("is missing") == true)
    #expect(run.status == 65)
  }

  @Test("the outcome names an invalid setting without its value")
  func wrongSetting() async throws {
    let environment = ["SLACK_WEBHOOK_URL": "http://sEcReT.example/x"]
    let run = try await Run("notify-slack", input: Sample.line("slack").text, environment: environment)
    let reason = try run.lines.first?["outcome"]?["reason"]
    #expect(reason == "SLACK_WEBHOOK_URL must be an https URL (http is allowed on this machine only)")
    #expect(!(run.log + run.output).contains("sEcReT"))
  }

  @Test("newsletter events use their own webhook")
  func newsletter() async throws {
    let stub = try await Stub(Script.http)
    let base = "http://127.0.0.1:\(stub.port)/services"
    let line = Sample.line("slack", payload: ["source": "newsletter"], eventType: "newsletter.subscribed")
    let input = line.text + "\n" + Sample.line("slack").text + "\n"
    let environment = ["SLACK_WEBHOOK_URL": base + "/main", "SLACK_WEBHOOK_NEWSLETTER_URL": base + "/news"]
    _ = try await Run("notify-slack", ["--stream"], input: input, environment: environment)
    let requests = try stub.received.map { $0["request"]?.string }
    #expect(requests == ["POST /services/news HTTP/1.1", "POST /services/main HTTP/1.1"])
  }

  @Test("describes itself without settings", arguments: ["notify-slack", "notify-telegram", "notify-email"])
  func describe(program: String) async throws {
    let run = try await Run(program, ["--describe"])
    let description = try #require(try run.lines.first)
    #expect(description["name"]?.string == program && description["kind"] == "step")
    #expect(description["routes"] == [])
  }
}
