import Deliveries
import Foundation
import Testing
import Transports
import Wire

@Suite("Fallback to a second shape of a message", .timeLimit(.minutes(1)))
struct FallbackTests {
  @Test(
    "if Slack refuses the blocks, the same facts are sent once as text, with one warning",
    arguments: ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "too_many_attachments"])
  func slack(code: String) async throws {
    let sink = try await FailingSink(#"{"slack":[{"fail":"refuse","say":"\#(code)"}]}"#)
    let (outcomes, log) = try await sink.send([FailingSink.line("slack")])
    let outcome = try #require(outcomes.first)
    #expect(outcome["class"] == "delivered" && outcome["providerCode"]?.string == code)
    #expect(outcome["reason"]?.string == "Slack rejected the blocks (\(code)): the message was sent as plain text")
    #expect(log.dropFirst(25).hasPrefix("[WARN] slack delivery \(Sample.deliveryID) delivered status=200 code=\(code)"))
    #expect(log.contains("note=Slack rejected the blocks (\(code)): the message was sent as plain text"))
    #expect(log.split(separator: "\n").count == 1)
    let body = try #require(try sink.messages.first?["body"])
    #expect(body["blocks"] == nil && body["mrkdwn"] == false)
    #expect(body["text"]?.string?.contains("Phone: +971501234567\n") == true)
  }

  @Test("a second refusal decides the outcome, and there is no third request")
  func slackTwice() async throws {
    for (second, expected) in [
      ("invalid_blocks", "permanent"), ("no_service", "config"), ("rate_limited", "throttled"),
    ] {
      let plan = #"{"slack":[{"fail":"refuse","say":"invalid_blocks"},{"fail":"refuse","say":"\#(second)"}]}"#
      let sink = try await FailingSink(plan)
      let (outcomes, _) = try await sink.send([FailingSink.line("slack"), FailingSink.line("slack")])
      #expect(outcomes[0]["class"]?.string == expected && outcomes[0]["providerCode"]?.string == second)
      #expect(outcomes[1]["class"] == "delivered", "the first line made exactly two requests")
    }
  }

  @Test("both requests together keep to the time limit of one")
  func time() async throws {
    let sink = try await FailingSink(#"{"slack":[{"fail":"refuse","say":"invalid_blocks"},{"fail":"hang"}]}"#)
    let start = Date.now
    let (outcomes, _) = try await sink.send([FailingSink.line("slack")], deadlineMs: 1500)
    #expect(outcomes.first?["class"] == "unknown" && Date.now.timeIntervalSince(start) < 8)
  }

  @Test("falls back once each for Telegram's markup, length and moved groups, in one attempt")
  func telegram() async throws {
    let parse = #"{"fail":"refuse","say":"Bad Request: can't parse entities"}"#
    let long = #"{"fail":"refuse","say":"Bad Request: message is too long"}"#
    let moved =
      #"{"fail":"refuse","say":"Bad Request: group chat was upgraded to a supergroup chat","migrateTo":-1009876543210}"#
    let rows: [(faults: [String], class: String, code: String?, mode: String?, chat: String)] = [
      ([parse], "delivered", "cant_parse_entities", nil, "-100123"),
      ([long], "delivered", "message_too_long", "HTML", "-100123"),
      ([moved], "delivered", "migrate_to_chat_id", "HTML", "-1009876543210"),
      ([moved, parse], "delivered", "migrate_to_chat_id", nil, "-1009876543210"),
      ([parse, moved], "delivered", "cant_parse_entities", nil, "-1009876543210"),
      ([parse, long], "permanent", nil, nil, ""), ([moved, moved], "config", "migrate_to_chat_id", nil, ""),
      ([parse, #"{"fail":"refuse","say":"Forbidden: bot was blocked by the user"}"#], "config", nil, nil, ""),
    ]
    let message: JSON = ["source": "contact_form", "message": .string(String(repeating: "word ", count: 900))]
    for row in rows {
      let sink = try await FailingSink("{\"telegram\":[\(row.faults.joined(separator: ","))]}")
      let (outcomes, log) = try await sink.send([FailingSink.line("telegram", payload: message)])
      let outcome = try #require(outcomes.first)
      #expect(outcome["class"]?.string == row.class && outcome["providerCode"]?.string == row.code, "\(row.faults)")
      #expect(log.split(separator: "\n").count == 1 && log.dropFirst(25).hasPrefix("[WARN]"))
      #expect(!log.contains("9876543210"), "the log contains no chat id")
      guard row.class == "delivered" else { continue }
      let body = try #require(try sink.messages.first?["body"])
      #expect(body["parse_mode"]?.string == row.mode && body["chat_id"] == .number(row.chat))
      let units = body["text"]?.string?.utf16.count ?? 0
      #expect((row.faults == [long] ? 1900...2100 : 4000...4150) ~= units)
      if row.faults.contains(moved) {
        #expect(outcome["reason"]?.string?.contains("set TELEGRAM_CHAT_ID to -1009876543210") == true)
        #expect(log.contains("set TELEGRAM_CHAT_ID to …"))
      }
    }
  }

  @Test("a possible repeat is marked on Slack and Telegram in every shape, and not in an email")
  func possibleRepeat() async throws {
    let name = String(repeating: "n", count: 2000)
    for (channel, fault) in [
      ("slack", ""), ("slack", #"{"fail":"refuse","say":"invalid_blocks"}"#), ("telegram", ""),
      ("telegram", #"{"fail":"refuse","say":"Bad Request: can't parse entities"}"#), ("email", ""),
    ] {
      let sink = try await FailingSink("{\"\(channel)\":[\(fault)]}")
      let line = FailingSink.line(channel, payload: Sample.chatbot.setting("customerName", .string(name)))
      let (outcomes, _) = try await sink.send([line.setting("possibleRepeat", true), line])
      let messages = try sink.messages
      let isMarked = messages.map { $0.text.contains(" (possible repeat)") }
      #expect(isMarked == (channel == "email" ? [false, false] : [true, false]))
      #expect(outcomes.map { $0["subject"]?.string?.hasSuffix(" (possible repeat)") } == isMarked)
      if channel == "slack" && fault.isEmpty {
        #expect(messages[0]["body"]?["text"]?.string?.hasSuffix("n… (possible repeat)") == true)
        let header = messages[0]["body"]?["blocks"]?.array?[0]["text"]?["text"]
        #expect(header == "🤖 New Chatbot Conversation (possible repeat)")
      }
    }
  }

  @Test("accepts only true and false for possibleRepeat")
  func possibleRepeatMember() {
    for (value, expected) in [(true, true), (false, false), (nil, nil), ("true", nil), (1, nil)] as [(JSON, Bool?)] {
      #expect(Delivery(Sample.line("slack").setting("possibleRepeat", value))?.isPossibleRepeat == expected)
    }
    #expect(Delivery(Sample.line("slack"))?.isPossibleRepeat == false)
  }

  @Test("hostile text is escaped in the second shapes too, and complete if it fits", arguments: Sample.hostile)
  func hostile(text: String) throws {
    let message: JSON = ["source": "contact_form", "customerName": .string(text), "message": .string(text)]
    for notification in [Sample.named(text), Sample.notification(message, frontend: "https://app.example")] {
      let slack = try #require(Slack.textPayload(notification)["text"]?.string)
      #expect(!slack.contains("<") && !slack.contains(">") && slack.unicodeScalars.count <= 12_000)
      #expect(RenderingTests.entitiesAreWhole(slack))
      #expect(Slack.textPayload(notification)["mrkdwn"] == false)
      let refusal: JSON = ["ok": false, "error_code": 400, "description": "Bad Request: can't parse entities: x"]
      let shape = try #require(TelegramShape(chat: "-1001").next(after: HTTPResult(status: 400, body: refusal.bytes)))
      let telegram = Telegram.payload(notification, shape)
      #expect(telegram["parse_mode"] == nil)
      let plain = try #require(telegram["text"]?.string)
      #expect(plain.utf16.count <= 4096)
      for field in notification.fields where field.value.unicodeScalars.count < 500 {
        #expect(plain.contains(field.value), "neither escaped nor cut")
        #expect(slack.contains(Escaping.slack(field.value)))
      }
    }
  }

  @Test("hostile text arrives as typed, on every channel and in both shapes")
  func arrival() async throws {
    // NUL is rejected before any step.
    let texts = Sample.hostile.filter { $0.unicodeScalars.count < 200 && !$0.unicodeScalars.contains("\u{0}") }
    let parse = #"{"fail":"refuse","say":"Bad Request: can't parse entities"}"#
    let blocks = #"{"fail":"refuse","say":"invalid_blocks"}"#
    let ways: [(channel: String, fault: String, find: (JSON) -> [String])] = [
      ("slack", "", { RenderingTests.texts($0["body"] ?? .null).map(Self.unescaped) }),
      ("slack", blocks, { [Self.unescaped($0["body"]?["text"]?.string ?? "")] }),
      ("telegram", "", { [Self.unescaped($0["body"]?["text"]?.string ?? "")] }),
      ("telegram", parse, { [$0["body"]?["text"]?.string ?? ""] }), ("email", "", { [$0["body"]?.string ?? ""] }),
    ]
    for way in ways {
      // One fault per sink: the first shape of the line is refused, the second is accepted.
      for text in way.fault.isEmpty ? texts : Array(texts.prefix(4)) {
        let sink = try await FailingSink("{\"\(way.channel)\":[\(way.fault)]}")
        let payload: JSON = ["source": "contact_form", "customerName": "x", "message": .string(text)]
        let (outcomes, log) = try await sink.send([FailingSink.line(way.channel, payload: payload)])
        #expect(outcomes.first?["class"] == "delivered")
        #expect(log.split(separator: "\n").count == 1, "hostile text adds no line to the log")
        let messages = try sink.messages
        #expect(messages.count == 1)
        let value = Sample.notification(payload).fields.first { $0.isLong }?.value
        if let value { #expect(messages.first.map(way.find)?.contains { $0.contains(value) } == true) }
        if way.channel == "email" { #expect(messages.first?["recipient"] == "desk@agency.example") }
      }
    }
  }

  /// Returns the text that a reader sees: without our tags, with entities resolved.
  static func unescaped(_ text: String) -> String {
    text.replacingOccurrences(of: "<[^>]*>", with: "", options: .regularExpression)
      .replacingOccurrences(of: "&lt;", with: "<").replacingOccurrences(of: "&gt;", with: ">")
      .replacingOccurrences(of: "&quot;", with: "\"").replacingOccurrences(of: "&#39;", with: "'")
      .replacingOccurrences(of: "&amp;", with: "&")
  }
}
