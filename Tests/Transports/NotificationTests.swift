import Deliveries
import Forms
import Leads
import Testing
import Wire

@Suite("What notifications say")
struct WordingTests {
  @Test("a chatbot lead reads as the interface words it")
  func chatbot() {
    let notice = Sample.notice(frontend: "https://app.example/")
    #expect(notice.header == "🤖 New Chatbot Conversation")
    #expect(notice.subject == "🤖 New Chatbot Lead: \(Sample.name)")
    #expect(notice.fallback == "🔔 New Lead: \(Sample.name)")
    #expect(
      notice.fields.map(\.label) == [
        "Name", "Intent", "Email", "Phone", "Budget", "Property Type", "Area", "Lead Score", "Duration",
      ])
    #expect(notice.fields.map(\.value).suffix(3) == ["Palm Jumeirah", "85/100 (hot)", "12 minutes"])
    #expect(
      notice.links == [
        .init("View in Admin Panel", "https://app.example/admin/conversations/22222222-2222-4222-8222-222222222222")
      ])
  }

  @Test(
    "what is absent reads N/A or is left out",
    arguments: [
      ["source": "chatbot"], ["source": "chatbot", "customerName": nil, "leadScore": nil, "durationMinutes": nil],
      ["source": "chatbot", "customerName": "  ", "budget": [:], "intent": true],
    ] as [JSON])
  func absent(payload: JSON) {
    let notice = Sample.notice(payload)
    #expect(notice.fallback == "🔔 New Lead: N/A")
    #expect(notice.fields.map(\.value) == Array(repeating: "N/A", count: 8))
    let all = ([notice.header, notice.subject] + notice.fields.map(\.value)).joined()
    for word in ["nil", "Optional", "undefined", "null"] { #expect(!all.contains(word)) }
  }

  @Test(
    "every source has its own header",
    arguments: [
      ("lead.created", "contact_form", "📬 New Contact Form Message"),
      ("lead.created", "property_inquiry", "🏠 New Property Inquiry"),
      ("lead.created", "sell_submission", "🏷️ New Valuation Request"),
      ("newsletter.subscribed", "newsletter", "📧 New Newsletter Subscription"),
      ("sla.warning", "chatbot", "⚠️ SLA Warning"), ("sla.breached", "chatbot", "🚨 SLA BREACHED"),
      ("channel.test", "", "🔧 Test Message"), ("lead.created", "somewhere", "🔔 New Lead"),
      ("lead.odd", "chatbot", "🔔 Event lead.odd"),
    ])
  func sources(eventType: String, source: String, header: String) {
    #expect(Sample.notice(["source": .string(source)], eventType: eventType).header == header)
  }

  @Test(
    "only a web address becomes a link",
    arguments: [
      ("https://x.example/a", true), ("HTTP://x.example", true), ("http://[::1]:8080/x", true),
      ("https://x.example/فيلا", true), ("javascript:alert(1)", false), ("https://user@x.example/", false),
      ("https://x.example\\@evil.example/", false), ("https://x.example/\"onclick=", false), ("https:///x", false),
      ("https://x.example:99999/", false), ("https://x..example/", false), ("https://x.example/a\nb", false),
      ("//x.example", false), ("", false), ("ftp://x.example", false),
    ])
  func links(text: String, isLink: Bool) {
    let inquiry: JSON = ["source": "property_inquiry", "propertyUrl": .string(text)]
    #expect((Sample.notice(inquiry).links.map(\.label) == ["View Property"]) == isLink)
    #expect(Sample.notice(frontend: text).links.isEmpty == !isLink)
  }

  @Test("a test message says that it is one, in every channel")
  func channelTest() throws {
    let payload: JSON = ["channel": "email", "by": "Omar", "askedAt": "2026-11-23T10:00:00.000Z"]
    let notice = Sample.notice(payload, eventType: "channel.test", frontend: "https://app.example")
    #expect(notice.subject == "Test message from Leadpipe")
    #expect(notice.fallback == "🔧 Test Message")
    #expect(
      notice.fields.map(\.value) == ["This channel works: new leads arrive here.", "Omar", "2026-11-23 10:00 UTC"])
    #expect(notice.links.isEmpty)
  }

  @Test("a name stays on one line and turns nothing around")
  func oneLine() {
    let notice = Sample.named(" a\r\nb\u{202E}c\u{2028}d\u{0} ")
    #expect(notice.fields[0].value == "a bc d")
    #expect(notice.subject == "🤖 New Chatbot Lead: a bc d")
  }

  @Test(
    "this machine is known by its full addresses only",
    arguments: [
      ("127.0.0.1", true), ("127.255.1.2", true), ("localhost", true), ("::1", true), ("127.1", false),
      ("127.0.0.1.example", false), ("localhost.example", false), ("0127.0.0.1", false), ("128.0.0.1", false),
      ("127.0.0.256", false),
    ])
  func loopback(host: String, isLoopback: Bool) { #expect(WebAddress.isLoopback(host) == isLoopback) }
}
