import Deliveries
import Testing
import Wire

@Suite("Receipts") struct ReceiptTests {
  private static let conversation = UUIDText("0f3e1a2b-2222-4222-8222-222222222222")
  private static let agency = Agency(name: "Palm", phone: "+971 4 123 4567", email: "hello@palm.example")

  private func receipt(
    _ source: String? = "chatbot", _ language: VisitorLanguage = .english, _ agency: Agency = agency
  ) throws -> Receipt {
    Receipt(source: source, language: language, conversation: try #require(Self.conversation), agency: agency)
  }

  private func text(_ receipt: Receipt) -> [String] { receipt.paragraphs.map { $0.map(\.text).joined() } }

  @Test("says what the request was, its reference, and how to reach the agency") func english() throws {
    let receipt = try receipt()
    #expect(receipt.subject == "Palm: we have your request, reference 0F3E1A2B")
    #expect(receipt.heading == "We have your request")
    #expect(
      text(receipt).prefix(3) == [
        "Palm has received your request from the chat on our website. One of our agents will contact you.",
        "Your reference is 0F3E1A2B.", "You can reach us at +971 4 123 4567 or hello@palm.example.",
      ])
    #expect(text(receipt)[3].hasPrefix("If you did not send us a request, "))
  }

  @Test("names the request in both languages, by its source", arguments: VisitorLanguage.allCases)
  func sources(language: VisitorLanguage) throws {
    let sources = ["chatbot", "contact_form", "property_inquiry", "sell_submission", "unheard_of"]
    let sentences = try sources.map { text(try receipt($0, language))[0] }
    #expect(Set(sentences).count == sources.count)
    #expect(try text(receipt(nil, language))[0] == sentences[4])
    for sentence in try sources.flatMap({ text(try receipt($0, language)) }) {
      #expect(!sentence.contains("{") && !sentence.contains("}") && !sentence.contains("unheard_of"))
    }
  }

  @Test("says only how the agency can be reached", arguments: VisitorLanguage.allCases)
  func reach(language: VisitorLanguage) throws {
    let none = text(try receipt("chatbot", language, .init()))[2]
    let phone = text(try receipt("chatbot", language, .init(phone: "+97141234567")))[2]
    let email = text(try receipt("chatbot", language, .init(email: "a@b.example")))[2]
    #expect(Set([none, phone, email]).count == 3)
    #expect(phone.contains("+97141234567") && !phone.contains("@"))
    #expect(email.contains("a@b.example") && !email.contains("+"))
    #expect(language == .arabic || none == "To reach us, reply to this message.")
  }

  @Test("an agency whose name has braces stays as it is") func braces() throws {
    let receipt = try receipt("chatbot", .english, .init(name: "{reference} & {phone}"))
    #expect(receipt.subject == "{reference} & {phone}: we have your request, reference 0F3E1A2B")
  }

  @Test("an Arabic receipt is written from right to left, with values apart") func arabic() throws {
    let receipt = try receipt("sell_submission", .arabic)
    #expect(receipt.language.isRightToLeft)
    #expect(receipt.paragraphs[1] == [.words("رقمك المرجعي هو "), .value("0F3E1A2B"), .words(".")])
  }

  @Test("is read from a delivery; nothing in the payload but source and language counts") func delivery() throws {
    func line(_ type: String, _ payload: JSON, conversation: JSON) throws -> Delivery {
      try #require(
        Delivery([
          "id": "11111111-1111-4111-8111-111111111111", "fence": 1, "attempt": 1, "channel": "email",
          "recipient": "a@b.example", "eventType": .string(type), "eventAt": "2026-11-22T21:00:00.000Z",
          "conversationId": conversation, "payload": payload,
        ]))
    }
    let id = JSON(Self.conversation?.text)
    let hostile: JSON = [
      "source": "<b>x</b>", "language": "xx", "customerName": "Buy at evil.example", "message": "evil",
    ]
    let receipt = try #require(Receipt(for: try line("lead.receipt", hostile, conversation: id), agency: Self.agency))
    #expect(receipt == (try self.receipt(nil)))
    #expect(
      Receipt(for: try line("lead.receipt", ["language": "ar"], conversation: id), agency: Self.agency)?.language
        == .arabic)
    #expect(Receipt(for: try line("lead.receipt", [:], conversation: .null), agency: Self.agency) == nil)
    let created = try line("lead.created", [:], conversation: id)
    #expect(!created.isReceipt && Receipt(for: created, agency: Self.agency) == nil)
  }
}
