import Forms
import Leads
import Testing
import Wire

private let received = Instant(milliseconds: 1_795_381_200_000)
private let person: JSON = ["customerName": "Sara Ahmed", "customerEmail": "sara@example.com"]

private func errors(_ body: () throws -> Void) -> [FieldError] {
  do { try body() } catch { return (error as? FormError)?.fields ?? [] }
  return []
}

@Suite("The forms of the website") struct SiteFormTests {
  @Test("a contact message becomes a lead with a message and its details") func contact() throws {
    let body = person.setting("message", " Please call\r\nme ").setting("subject", "Viewing").setting(
      "department", "Sales")
    let lead = try SiteForm.contact.lead(checking: body, receivedAt: received)
    #expect(lead.source == "contact_form" && lead.intent == nil)
    #expect(lead.messages.map(\.text) == ["Please call\nme"] && lead.messages.map(\.sender) == ["customer"])
    #expect(lead.metadata == ["subject": "Viewing", "department": "Sales"])
    #expect(lead.eventPayload["message"] == "Please call\nme" && lead.eventPayload["subject"] == "Viewing")
  }

  @Test("an inquiry keeps its property") func inquiry() throws {
    let body = person.setting("propertyTitle", "Marina view").setting("propertyUrl", "https://example.com/p/7?a=ü")
      .setting("budget", "2M").setting("propertyType", "Apartment")
    let lead = try SiteForm.inquiry.lead(checking: body, receivedAt: received)
    #expect(lead.messages.isEmpty && lead.budget == "2M" && lead.propertyType == "Apartment")
    #expect(lead.metadata == ["propertyTitle": "Marina view", "propertyUrl": "https://example.com/p/7?a=%C3%BC"])
    #expect(lead.eventPayload["propertyUrl"] == "https://example.com/p/7?a=%C3%BC")
  }

  @Test("a valuation request has the intent sell, and its price is scored as the budget") func sell() throws {
    let body = person.setting("expectedPrice", "AED 5M").setting("urgency", "Immediately").setting(
      "propertyType", "Villa"
    )
    .setting("propertyDescription", "Five rooms").setting("propertyAddress", "Palm 1")
    let lead = try SiteForm.sell.lead(checking: body, receivedAt: received)
    #expect(lead.intent == "sell" && lead.budget == nil && lead.messages.map(\.text) == ["Five rooms"])
    #expect(lead.score.breakdown["budget"] == 25 && lead.score.breakdown["urgency"] == 15)
    #expect(lead.score.breakdown["counted"] == ["budget": "AED 5M", "urgency": "Immediately"])
    #expect(lead.metadata == ["propertyAddress": "Palm 1", "expectedPrice": "AED 5M", "urgency": "Immediately"])
  }

  @Test("rejects a request without a way to contact the customer", arguments: [SiteForm.inquiry, .sell])
  func unreachable(_ form: SiteForm) {
    for body: JSON in [["customerName": "Sara"], ["customerName": "Sara", "customerEmail": "", "customerPhone": nil]] {
      let error = FieldError(.oneRequired, at: "customerEmail", ["fields": "customerEmail or customerPhone"])
      #expect(errors { _ = try form.lead(checking: body, receivedAt: received) } == [error])
    }
  }

  @Test("an invalid phone number is one error, not two") func invalidContact() {
    let body: JSON = ["customerName": "Sara", "customerPhone": "call me"]
    #expect(
      errors { _ = try SiteForm.sell.lead(checking: body, receivedAt: received) }
        == [
          .init(
            .invalidPhone, at: "customerPhone",
            ["reason": "it has letters or signs that are not part of a number"])
        ])
  }

  @Test("an unusable phone number or email address beside a good one of the other kind is set aside")
  func oneContact() throws {
    let lead = try SiteForm.sell.lead(
      checking: person.setting("customerPhone", "call me"), receivedAt: received)
    #expect(lead.customerPhone == nil && lead.metadata == ["setAside": ["customerPhone": "call me"]])
    let other = try SiteForm.sell.lead(
      checking: ["customerName": "Sara", "customerPhone": "0501234567", "customerEmail": "sara@"],
      receivedAt: received)
    #expect(other.customerEmail == nil && other.warnings.map(\.path) == ["customerEmail"])
  }

  @Test("reports all errors at once") func allErrors() {
    let body: JSON = ["customerName": "S", "message": "  ", "subject": 5, "customerEmail": "x"]
    #expect(
      errors { _ = try SiteForm.contact.lead(checking: body, receivedAt: received) }.map(\.path)
        == ["customerName", "customerEmail", "message", "subject"])
  }

  @Test(
    "sets aside a property URL that is not a web address",
    arguments: [
      "javascript:alert(1)", "data:text/html,x", "/p/7", "https://a b.com", "https://user@example.com", "//x.com",
      "https://ex\u{202E}ample.com/", "http://ban\u{212A}.com/x", "https://2130706433/", "https://0x7f.1/",
      "https://127.1/",
    ])
  func address(_ text: String) throws {
    let body = person.setting("propertyUrl", .string(text))
    let lead = try SiteForm.inquiry.lead(checking: body, receivedAt: received)
    #expect(lead.warnings.map(\.code) == [.invalidURL] && lead.warnings.map(\.path) == ["propertyUrl"])
    #expect(lead.details["propertyUrl"] == nil && lead.metadata == ["setAside": ["propertyUrl": .string(text)]])
  }

  @Test(
    "percent-encodes a property URL as browsers do",
    arguments: [
      ("https://a.com/p/1?utm_campaign=Dubai|Villas", "https://a.com/p/1?utm_campaign=Dubai%7CVillas"),
      ("https://a.com/?x={{ad.name}}", "https://a.com/?x=%7B%7Bad.name%7D%7D"),
      ("https://a.com/a b?c=\"d\"#e f", "https://a.com/a%20b?c=%22d%22#e%20f"),
      ("https://a.com/a\\b?c=d\\e", "https://a.com/a/b?c=d%5Ce"), ("https://a.com/a\n\tb\r", "https://a.com/ab"),
      ("HTTPS://A.com/%7B{", "https://A.com/%7B%7B"),
      ("https://a.com/<^`>\u{1}\u{7F}x", "https://a.com/%3C%5E%60%3E%01%7Fx"),
      ("\u{200B}https://a.com\u{A0}", "https://a.com"),
      ("https://a.com/فيلا", "https://a.com/%D9%81%D9%8A%D9%84%D8%A7"),
    ])
  func encodes(_ text: String, _ encoded: String) throws {
    let lead = try SiteForm.inquiry.lead(checking: person.setting("propertyUrl", .string(text)), receivedAt: received)
    #expect(lead.metadata == ["propertyUrl": .string(encoded)] && lead.warnings.isEmpty)
  }
}

@Suite("Newsletter subscriptions") struct NewsletterTests {
  @Test("accepts an email address with spaces around it") func address() throws {
    #expect(try Subscription(checking: ["email": "  Sara@Example.com "]).email.text == "Sara@example.com")
  }

  @Test(
    "rejects an invalid email address",
    arguments: ["", "   ", "x", "sara\t@example.com", "sara@example.com\nx", "sara@ example.com"])
  func rejects(_ text: String) {
    #expect(errors { _ = try Subscription(checking: ["email": .string(text)]) }.map(\.path) == ["email"])
  }

  @Test("are cancelled by email address or token; the token takes precedence") func cancelling() throws {
    let token = try #require(UUIDText("0f3e8f7c-6f0e-4d57-8a26-2f1f2e3d4c5b"))
    #expect(try Unsubscription(checking: ["token": .string(token.text), "email": "a@b.com"]) == .token(token))
    #expect(try Unsubscription(checking: ["email": "a@b.com"]) == .email(try #require(EmailAddress("a@b.com"))))
    #expect(
      errors { _ = try Unsubscription(checking: [:]) } == [
        .init(.oneRequired, at: "email", ["fields": "email or token"])
      ])
  }
}
