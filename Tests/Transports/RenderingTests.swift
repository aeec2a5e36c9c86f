import Foundation
import Testing
import Transports
import Wire

@Suite("Payloads for Slack and Telegram")
struct RenderingTests {
  @Test("Slack gets a header, fields as plain text and a button")
  func slack() throws {
    let payload = Slack.payload(Sample.notification(frontend: "https://app.example"))
    #expect(payload["text"] == .string("🔔 New Lead: \(Sample.name)"))
    let blocks = try #require(payload["blocks"]?.array)
    #expect(blocks.map { $0["type"]?.string } == ["header", "section", "actions"])
    let fields = try #require(blocks[1]["fields"]?.array)
    #expect(fields.count == 9)
    #expect(fields[0]["text"]?.string == "Name\n\u{2068}\(Sample.name)\u{2069}")
    let button = blocks[2]["elements"]?.array?.first
    #expect(button?["url"]?.string?.hasSuffix("/admin/conversations/22222222-2222-4222-8222-222222222222") == true)
    #expect(button?["text"]?["text"] == "View in Admin Panel")
  }

  @Test("no text reaches Slack unescaped, or longer than Block Kit allows", arguments: Sample.hostile)
  func slackHostile(text: String) throws {
    let message: JSON = ["source": "contact_form", "customerName": .string(text), "message": .string(text)]
    for payload in [Slack.payload(Sample.named(text)), Slack.payload(Sample.notification(message))] {
      let texts = Self.texts(payload)
      #expect(texts.reduce(0) { $0 + $1.unicodeScalars.count } <= 12_000)
      for text in texts {
        #expect(!text.contains("<") && !text.contains(">"))
        #expect(Self.entitiesAreWhole(text))
        #expect(text.unicodeScalars.count <= 3000)
      }
      #expect(payload["blocks"]?.array?[0]["text"]?["text"]?.string.map { $0.unicodeScalars.count <= 150 } == true)
      #expect(Self.kinds(payload).allSatisfy { $0 != "mrkdwn" })
      #expect((try? JSON(reading: payload.bytes)) == payload)
    }
  }

  @Test("text escaped for Slack is displayed as typed", arguments: Sample.hostile.prefix(5))
  func slackRoundTrip(text: String) {
    let escaped = Escaping.slack(text)
    let back = escaped.replacingOccurrences(of: "&lt;", with: "<").replacingOccurrences(of: "&gt;", with: ">")
      .replacingOccurrences(of: "&amp;", with: "&")
    #expect(Array(back.utf8) == Array(text.utf8))
  }

  @Test("Telegram gets at most 4,096 UTF-16 units of HTML, in which only our tags are tags", arguments: Sample.hostile)
  func telegramHostile(text: String) throws {
    let message: JSON = ["source": "contact_form", "customerName": .string(text), "message": .string(text)]
    for notification in [Sample.named(text), Sample.notification(message, frontend: "https://app.example")] {
      let payload = Telegram.payload(notification, TelegramShape(chat: "-1001234567890"))
      #expect(payload["chat_id"] == .number("-1001234567890"))
      #expect(payload["parse_mode"] == "HTML")
      #expect(payload["link_preview_options"]?["is_disabled"] == true)
      let html = try #require(payload["text"]?.string)
      let ours = html.replacing(try Regex("</?b>|<a href=\"https://app[a-z0-9./-]*\">|</a>"), with: "")
      #expect(!ours.contains("<") && !ours.contains(">"))
      let shown = ours.replacingOccurrences(of: "&lt;", with: "<").replacingOccurrences(of: "&gt;", with: ">")
        .replacingOccurrences(of: "&quot;", with: "\"").replacingOccurrences(of: "&#39;", with: "'")
        .replacingOccurrences(of: "&amp;", with: "&")
      #expect(shown.utf16.count <= 4096)
      #expect(shown.contains("Phone: "))
    }
  }

  @Test(
    "cuts between scalars and counts the ellipsis",
    arguments: [
      ("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("😀😀😀", 6, "😀😀😀"), ("😀😀😀", 5, "😀😀…"), ("😀😀😀", 4, "😀…"),
      ("abc", 1, "…"), ("", 0, ""),
    ])
  func cut(text: String, limit: Int, expected: String) { #expect(Cut.utf16(text, to: limit) == expected) }

  @Test("a cut for Slack counts the escaped length")
  func cutSlack() {
    #expect(Escaping.slack(Cut.slack("a&&&", to: 11)) == "a&amp;…")
    #expect(Cut.slack("<<", to: 8) == "<<")
  }

  static func texts(_ json: JSON) -> [String] {
    switch json {
    case .array(let items): items.flatMap(texts)
    case .object(let members): members.flatMap { $0.key == "url" ? [] : texts($0.value) }
    case .string(let text): [text]
    default: []
    }
  }

  static func kinds(_ json: JSON) -> [String] {
    switch json {
    case .array(let items): items.flatMap(kinds)
    case .object(let members): members.flatMap { $0.key == "type" ? [$0.value.string ?? ""] : kinds($0.value) }
    default: []
    }
  }

  static func entitiesAreWhole(_ text: String) -> Bool {
    text.split(separator: "&", omittingEmptySubsequences: false).dropFirst().allSatisfy { part in
      ["amp;", "lt;", "gt;"].contains { part.hasPrefix($0) }
    }
  }
}
