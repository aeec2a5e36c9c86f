import Deliveries
import Testing
import Transports
import Wire

@Suite("Receipts as emails") struct ReceiptMailTests {
  private static let agency = Agency(name: "Palm <b>&</b> Sons", phone: "+971 4 123 4567", email: "hello@palm.example")

  private static func content(_ language: VisitorLanguage, _ agency: Agency = agency) throws -> MailContent {
    let conversation = try #require(Sample.conversation)
    return MailContent(
      Receipt(source: "chatbot", language: language, conversation: conversation, agency: agency), agency: agency)
  }

  private static func lines(_ content: MailContent) throws -> [String] {
    let id = try #require(UUIDText(Sample.deliveryID))
    let from = try #require(Mailbox("leads@agency.example"))
    let to = try #require(Mailbox(address: "visitor@example.com"))
    let message = MailMessage(
      deliveryID: id, date: Instant(milliseconds: 784_111_777_000), from: from, to: to, content: content)
    return String(decoding: message.bytes, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
      .map(String.init)
  }

  @Test("has these headers", arguments: VisitorLanguage.allCases) func headers(language: VisitorLanguage) throws {
    let lines = try Self.lines(try Self.content(language))
    let head = lines.prefix { !$0.isEmpty }
    #expect(
      head.filter { $0.first != " " }.map { String($0.prefix { $0 != ":" }) } == [
        "Date", "Message-ID", "From", "To", "Subject", "Reply-To", "Auto-Submitted", "X-Auto-Response-Suppress",
        "MIME-Version", "Content-Type",
      ])
    #expect(head.contains("Auto-Submitted: auto-generated") && head.contains("X-Auto-Response-Suppress: All"))
    #expect(lines.allSatisfy { $0.utf8.count <= 76 && $0.utf8.allSatisfy { $0 < 0x80 } })
  }

  @Test("replies go to the sender if the agency has no address") func sender() throws {
    let lines = try Self.lines(try Self.content(.english, .init()))
    #expect(!lines.contains { $0.hasPrefix("Reply-To") })
  }

  @Test("the same content goes through Resend", arguments: VisitorLanguage.allCases)
  func resend(language: VisitorLanguage) throws {
    let id = try #require(UUIDText(Sample.deliveryID))
    let from = try #require(Mailbox("leads@agency.example"))
    let to = try #require(Mailbox(address: "visitor@example.com"))
    let payload = Resend.payload(try Self.content(language), id: id, from: from, to: to)
    #expect(payload["headers"]?["X-Auto-Response-Suppress"] == "All")
    #expect(payload["headers"]?["Auto-Submitted"] == "auto-generated")
    #expect(payload["reply_to"] == "hello@palm.example" && payload["to"] == ["visitor@example.com"])
    let html = try #require(payload["html"]?.string)
    #expect(html.contains("<html lang=\"\(language.rawValue)\" dir=\"\(language == .arabic ? "rtl" : "ltr")\">"))
    #expect(html.contains("<bdi>Palm &lt;b&gt;&amp;&lt;/b&gt; Sons</bdi>") && !html.contains("<b>"))
    let text = try #require(payload["text"]?.string)
    #expect(text.contains("\u{2068}+971 4 123 4567\u{2069}") == (language == .arabic))
    #expect(text.contains("22222222"))
  }

  @Test("a refusal of a visitor's address is permanent, and one of the log-in concerns the channel")
  func outcomes() {
    func `class`(_ status: Int, _ line: String, isReceipt: Bool) -> DeliveryOutcome.Class {
      let answer = SMTPResult(curlCode: 55, status: status, lines: ["250 ok", line])
      return SMTP.outcome(of: answer, hiding: [], isReceipt: isReceipt).class
    }
    #expect(`class`(550, "550 5.7.1 no", isReceipt: true) == .permanent)
    #expect(`class`(550, "550 5.7.1 no", isReceipt: false) == .config)
    #expect(`class`(554, "554 5.7.1 no", isReceipt: true) == .permanent)
    #expect(`class`(535, "535 5.7.8 log in", isReceipt: true) == .config)
    #expect(`class`(450, "450 4.2.0 later", isReceipt: true) == .retry)
  }
}
