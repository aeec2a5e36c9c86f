import Deliveries
import Testing
import Transports
import Wire

@Suite("Emails")
struct MailMessageTests {
  static func bytes(_ notification: Notification) throws -> [UInt8] {
    let id = try #require(UUIDText(Sample.deliveryID))
    let from = try #require(Mailbox("Leadpipe Zoë <leads@agency.example>"))
    let to = try #require(Mailbox(address: "desk@agency.example"))
    let date = Instant(milliseconds: 784_111_777_000)
    return MailMessage(deliveryID: id, date: date, from: from, to: to, notification: notification).bytes
  }

  static let names = [
    "Date", "Message-ID", "From", "To", "Subject", "Reply-To", "Auto-Submitted", "MIME-Version", "Content-Type",
  ]

  @Test("has exactly these headers, whatever a name contains", arguments: Sample.hostile + [Sample.name])
  func headers(name: String) throws {
    let text = String(decoding: try Self.bytes(Sample.named(name)), as: UTF8.self)
    let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
    #expect(lines.allSatisfy { $0.utf8.count <= 76 })
    #expect(text.utf8.allSatisfy { $0 < 0x80 && $0 != 0 })
    let head = lines.prefix { !$0.isEmpty }
    #expect(head.filter { $0.first != " " }.map { String($0.prefix { $0 != ":" }) } == Self.names)
    #expect(head[0] == "Date: Sun, 6 Nov 1994 08:49:37 +0000")
    #expect(head[1] == "Message-ID: <11111111-1111-4111-8111-111111111111@agency.example>")
    #expect(!lines.contains("."))
  }

  @Test("has no line feed without a carriage return, and none the other way round", arguments: Sample.hostile)
  func lineEnds(name: String) throws {
    let bytes = try Self.bytes(Sample.named(name))
    for (index, byte) in bytes.enumerated() where byte == 0x0A { #expect(bytes[index - 1] == 0x0D) }
    #expect(bytes.count { $0 == 0x0D } == bytes.count { $0 == 0x0A })
  }

  @Test("encoded words are short, complete and decodable", arguments: Sample.hostile + [Sample.name, "Plain name"])
  func encodedWords(text: String) throws {
    let encoded = EncodedWord.encode(text, column: 9)
    var bytes: [UInt8] = []
    for word in encoded.split(separator: "\r\n ") {
      #expect(word.utf8.count <= 75)
      guard word.hasPrefix("=?UTF-8?B?") else {
        bytes += word.utf8
        continue
      }
      let part = try #require(Base64.decode(String(word.dropFirst(10).dropLast(2))))
      #expect(String(validating: part, as: UTF8.self) != nil)
      bytes += part
    }
    let clean = text.unicodeScalars.filter { $0.properties.generalCategory != .control }
    #expect(bytes == Array(String(String.UnicodeScalarView(clean)).utf8))
  }

  @Test(
    "sets Reply-To only if the customer's email address is valid",
    arguments: [
      ("sara@example.com", true), ("a.b+c@x-y.example.co", true), ("a@b>\r\nRCPT TO:<x>", false),
      ("<x@y.example> NOTIFY=", false),
      ("a@localhost", false), ("a..b@x.example", false), (".a@x.example", false), ("a@x..example", false),
      ("a@b@c.example", false),
      ("\"a b\"@x.example", false), ("a@-x.example", false), ("ä@x.example", false), ("a@[127.0.0.1]", false),
      ("", false),
      ("a,b@x.example", false), ("a@x.example\u{0}", false), (String(repeating: "a", count: 65) + "@x.example", false),
    ])
  func replyTo(address: String, isValid: Bool) throws {
    let notification = Sample.notification(Sample.chatbot.setting("customerEmail", .string(address)))
    let text = String(decoding: try Self.bytes(notification), as: UTF8.self)
    #expect(text.contains("\r\nReply-To: \(address)\r\n") == isValid)
    #expect(text.contains("\r\nReply-To:") == isValid)
  }

  @Test(
    "parses the forms of EMAIL_FROM and rejects any other",
    arguments: [
      ("a@b.example", ["", "a@b.example"]), ("Name <a@b.example>", ["Name", "a@b.example"]),
      ("\"Last, First\" <a@b>", ["Last, First", "a@b"]), ("Zoë <a@b.example>", ["Zoë", "a@b.example"]),
      ("a b@c.example", nil), ("<a@b.example", nil), ("X <y> <a@b.example>", nil), ("X\r\nBcc: y <a@b.example>", nil),
      ("X <a@b.example>\n", nil), ("X", nil),
    ] as [(String, [String]?)])
  func mailbox(text: String, parts: [String]?) {
    #expect(Mailbox(text).map { [$0.name, $0.address] } == parts)
  }
}
