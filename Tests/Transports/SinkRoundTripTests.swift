import Contract
import Foundation
import Sink
import Testing
import Wire

@Suite("The notifiers against the sink", .timeLimit(.minutes(1)))
struct SinkRoundTripTests {
  @Test("messages of all three channels appear in the file and on the page")
  func roundTrip() async throws {
    let folder = try Folder()
    let file = folder.url.appending(path: "messages.ndjson").path
    let (ports, continuation) = AsyncStream.makeStream(of: [Int].self)
    let server = Task { try await Sink(file: file).run { continuation.yield([$0, $1]) } }
    defer { server.cancel() }
    var iterator = ports.makeAsyncIterator()
    let bound = try #require(await iterator.next())
    let base = "http://127.0.0.1:\(bound[0])"
    let environment = [
      "SLACK_WEBHOOK_URL": base + "/services/T0/B0/sink", "TELEGRAM_API_URL": base, "TELEGRAM_BOT_TOKEN": "1:sink",
      "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": "\(bound[1])", "EMAIL_FROM": "leads@agency.example",
      "EMAIL_USER": "u", "EMAIL_PASS": "p",
    ]
    let payload = Sample.chatbot.setting("customerName", .string("<b>\(Sample.name)</b> & co"))
    var lines = ["slack", "telegram", "email"].map { channel in
      let recipient = ["slack": "default", "telegram": "-100123", "email": "desk@agency.example"][channel] ?? ""
      return Sample.line(channel, recipient, payload: payload).text
    }
    for program in ["notify-slack", "notify-telegram", "notify-email"] {
      let run = try await Run(
        program, ["--stream"], input: lines.joined(separator: "\n") + "\n", environment: environment)
      lines = run.output.split(separator: "\n").map(String.init)
    }
    let outcomes = try lines.map { try JSON(reading: $0)["outcome"]?["class"]?.string }
    #expect(outcomes == ["delivered", "delivered", "delivered"])
    let messages = try folder.text("messages.ndjson").split(separator: "\n").map { try JSON(reading: String($0)) }
    #expect(messages.map { $0["channel"]?.string } == ["slack", "telegram", "email"])
    #expect(messages.map { $0["recipient"]?.string } == ["/services/T0/B0/sink", "-100123", "desk@agency.example"])
    #expect(messages[2]["subject"]?.string == "🤖 New Chatbot Lead: <b>\(Sample.name)</b> & co")
    #expect(messages[2]["body"]?.string?.contains("Phone: +971501234567") == true)

    let page = try await Run("/usr/bin/curl", ["-si", "--noproxy", "*", base + "/"])
    #expect(page.output.lowercased().contains("content-security-policy: default-src 'none'; style-src 'self'"))
    #expect(page.output.contains("&lt;b&gt;") && !page.output.contains("<b>"))
    #expect(page.output.components(separatedBy: "<article>").count == 4)
    let list = try await Run("/usr/bin/curl", ["-s", "--noproxy", "*", base + "/messages"])
    #expect(try list.lines == messages)
    let rebound = try await Run("/usr/bin/curl", ["-si", "--noproxy", "*", "-H", "Host: evil.example", base + "/"])
    #expect(rebound.output.contains(" 403 "))
    let bad = try await Run("/usr/bin/curl", ["-s", "--noproxy", "*", "-d", "[]", base + "/services/x"])
    #expect(bad.output == "invalid_payload")

    await #expect(throws: Problem.self) { try await Sink(httpPort: bound[0], file: file).run() }
    server.cancel()
    await #expect(throws: Never.self) { try await server.value }
  }
}
