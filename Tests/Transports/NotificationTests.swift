import Deliveries
import Forms
import Testing
import Wire

@Suite("The content of notifications")
struct NotificationTests {
  @Test("a chatbot lead has the specified header, subject, fields and link")
  func chatbot() {
    let notification = Sample.notification(frontend: "https://app.example/")
    #expect(notification.header == "🤖 New Chatbot Conversation")
    #expect(notification.subject == "🤖 New Chatbot Lead: \(Sample.name)")
    #expect(notification.fallback == "🔔 New Lead: \(Sample.name)")
    #expect(
      notification.fields.map(\.label) == [
        "Name", "Intent", "Email", "Phone", "Budget", "Property Type", "Area", "Lead Score", "Duration",
      ])
    #expect(notification.fields.map(\.value).suffix(3) == ["Palm Jumeirah", "85/100 (hot)", "12 minutes"])
    #expect(
      notification.links == [
        .init("View in Admin Panel", "https://app.example/admin/conversations/22222222-2222-4222-8222-222222222222")
      ])
  }

  @Test(
    "shows N/A for an absent value, or leaves it out",
    arguments: [
      ["source": "chatbot"], ["source": "chatbot", "customerName": nil, "leadScore": nil, "durationMinutes": nil],
      ["source": "chatbot", "customerName": "  ", "budget": [:], "intent": true],
    ] as [JSON])
  func absent(payload: JSON) {
    let notification = Sample.notification(payload)
    #expect(notification.fallback == "🔔 New Lead: N/A")
    #expect(notification.fields.map(\.value) == Array(repeating: "N/A", count: 8))
    let all = ([notification.header, notification.subject] + notification.fields.map(\.value)).joined()
    for word in ["nil", "Optional", "undefined", "null"] { #expect(!all.contains(word)) }
  }

  @Test("shows an extension behind the phone number") func extensions() {
    let payload: JSON = ["source": "chatbot", "customerPhone": "+97141234567", "customerPhoneExtension": "12"]
    #expect(Sample.notification(payload).fields.first { $0.label == "Phone" }?.value == "+97141234567 ext. 12")
  }

  @Test("shows what was set aside, so that an agent can use it") func setAside() {
    let payload: JSON = ["source": "sell_submission", "setAside": "customerPhone: call me\npropertyUrl: /p/7"]
    let last = Sample.notification(payload).fields.last
    #expect(last == .init("Could Not Be Used", "customerPhone: call me\npropertyUrl: /p/7", isLong: true))
  }

  @Test(
    "has a header for each source",
    arguments: [
      ("lead.created", "contact_form", "📬 New Contact Form Message"),
      ("lead.created", "property_inquiry", "🏠 New Property Inquiry"),
      ("lead.created", "sell_submission", "🏷️ New Valuation Request"),
      ("newsletter.subscribed", "newsletter", "📧 New Newsletter Subscription"),
      ("sla.warning", "chatbot", "⚠️ SLA Warning"), ("sla.breached", "chatbot", "🚨 SLA BREACHED"),
      ("lead.updated", "chatbot", "🔁 Customer Wrote Again"),
      ("channel.test", "", "🔧 Test Message"), ("lead.created", "somewhere", "🔔 New Lead"),
      ("lead.odd", "chatbot", "🔔 Event lead.odd"),
    ])
  func sources(eventType: String, source: String, header: String) {
    #expect(Sample.notification(["source": .string(source)], eventType: eventType).header == header)
  }

  @Test("the notification of a reopened conversation says who wrote and how it was closed")
  func reopened() {
    let payload: JSON = [
      "source": "chatbot", "customerName": "Sara Ahmed", "customerPhone": "+971501234567", "reopenedFrom": "lost",
      "leadScore": 95, "leadQuality": "hot", "messagesAdded": 1,
    ]
    let notification = Sample.notification(payload, eventType: "lead.updated")
    #expect(notification.subject == "🔁 Customer Wrote Again: Sara Ahmed")
    #expect(notification.fallback == notification.subject)
    #expect(notification.fields.map(\.label) == ["Name", "Email", "Phone", "Was", "Lead Score"])
    #expect(notification.fields.map(\.value) == ["Sara Ahmed", "N/A", "+971501234567", "lost", "95/100 (hot)"])
  }

  @Test(
    "a lead that has become hotter is announced with its score before and after, and its conversation",
    arguments: [("hot", "🔥 Lead Is Now Hot"), ("warm", "📈 Lead Is Now Warm")])
  func qualified(quality: String, header: String) {
    let payload: JSON = [
      "source": "chatbot", "customerName": "Sara Ahmed", "customerPhone": "+971501234567", "risenFrom": "cold",
      "conversation": "22222222-2222-4222-8222-222222222222", "leadScore": 95, "leadQuality": .string(quality),
      "leadScoreBefore": 30, "scoreBefore": 30, "budget": "AED 2M", "message": "I can pay\nin cash.",
    ]
    let notification = Sample.notification(payload, eventType: "lead.qualified", frontend: "https://app.example")
    #expect(notification.subject == "\(header): Sara Ahmed")
    #expect(notification.fallback == notification.subject)
    #expect(
      notification.fields == [
        .init("Name", "Sara Ahmed"), .init("Email", "N/A"), .init("Phone", "+971501234567"),
        .init("Lead Score", "95/100 (\(quality))"), .init("Was", "30/100 (cold)"), .init("Budget", "AED 2M"),
        .init("Conversation", "22222222-2222-4222-8222-222222222222"),
        .init("Message", "I can pay\nin cash.", isLong: true),
      ])
    #expect(notification.links.map(\.label) == ["View in Admin Panel"])
  }

  @Test("new contact details are shown with those before") func newContact() {
    let payload: JSON = [
      "source": "chatbot", "customerName": "Sara Ahmed", "customerPhone": "+971501234567",
      "customerEmail": "sara@example.com", "contactBefore": ["customerPhone": "+971501234567"], "message": "Mail me",
      "conversation": "22222222-2222-4222-8222-222222222222",
    ]
    let notification = Sample.notification(payload, eventType: "lead.updated")
    #expect(notification.subject == "📇 New Contact Details: Sara Ahmed")
    #expect(
      notification.fields == [
        .init("Name", "Sara Ahmed"), .init("Email", "sara@example.com"), .init("Phone", "+971501234567"),
        .init("Was", "+971501234567"), .init("Conversation", "22222222-2222-4222-8222-222222222222"),
        .init("Message", "Mail me", isLong: true),
      ])
  }

  @Test(
    "an SLA notification says how many minutes are left or over, and who is responsible",
    arguments: [
      (5, "5 minutes left"), (1, "1 minute left"), (0, "less than a minute over"), (-1, "1 minute over"),
      (-75, "75 minutes over"),
    ])
  func sla(minutes: Int, text: String) {
    let payload: JSON = [
      "source": "chatbot", "customerName": "Sara Ahmed", "customerPhone": "+971501234567", "leadScore": 95,
      "leadQuality": "hot", "slaResponseDeadline": "2026-11-21T06:05:00.000Z", "minutesRemaining": JSON(minutes),
      "assignedAgentName": "Omar",
    ]
    let notification = Sample.notification(payload, eventType: minutes > 0 ? "sla.warning" : "sla.breached")
    #expect(notification.subject.hasSuffix(": Sara Ahmed"))
    #expect(
      notification.fields == [
        .init("Name", "Sara Ahmed"), .init("Phone", "+971501234567"), .init("Score", "95/100 (hot)"),
        .init("Deadline", "Sat 21 Nov 2026, 10:05 (Asia/Dubai)"), .init("Time", text), .init("Agent", "Omar"),
      ])
  }

  @Test("a summary of deadlines says how many, the oldest, and where to look") func slaSummary() {
    let payload: JSON = [
      "sumsUp": 301, "breached": 300, "warned": 1, "oldestDeadline": "2026-11-21T06:05:00.000Z",
    ]
    let notification = Notification(
      eventType: "sla.breached", conversationID: nil, payload: payload, frontendURL: "https://app.example/",
      clock: Sample.clock)
    #expect(notification.header == "🚨 SLA BREACHED")
    #expect(notification.subject == "🚨 SLA BREACHED: 301 conversations")
    #expect(
      notification.fields.dropLast() == [
        .init("Breached", "300 conversations"), .init("Near Their Deadline", "1 conversation"),
        .init("Oldest Deadline", "Sat 21 Nov 2026, 10:05 (Asia/Dubai)"),
      ])
    #expect(notification.links == [.init("View in Admin Panel", "https://app.example/admin/inbox")])
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
    #expect((Sample.notification(inquiry).links.map(\.label) == ["View Property"]) == isLink)
    #expect(Sample.notification(frontend: text).links.isEmpty == !isLink)
  }

  @Test("a test message is recognisable as one")
  func channelTest() throws {
    let payload: JSON = ["channel": "email", "by": "Omar", "askedAt": "2026-11-23T10:00:00.000Z"]
    let notification = Sample.notification(payload, eventType: "channel.test", frontend: "https://app.example")
    #expect(notification.subject == "Test message from Leadpipe")
    #expect(notification.fallback == "🔧 Test Message")
    #expect(
      notification.fields.map(\.value) == [
        "This channel works: new leads arrive here.", "Omar", "Mon 23 Nov 2026, 14:00 (Asia/Dubai)",
      ])
    #expect(notification.links.isEmpty)
  }

  @Test("a name stays on one line and has no control or bidirectional characters")
  func oneLine() {
    let notification = Sample.named(" a\r\nb\u{202E}c\u{2028}d\u{0} ")
    #expect(notification.fields[0].value == "a bc d")
    #expect(notification.subject == "🤖 New Chatbot Lead: a bc d")
  }

  @Test(
    "accepts only complete loopback addresses as this machine",
    arguments: [
      ("127.0.0.1", true), ("127.255.1.2", true), ("localhost", true), ("::1", true), ("127.1", false),
      ("127.0.0.1.example", false), ("localhost.example", false), ("0127.0.0.1", false), ("128.0.0.1", false),
      ("127.0.0.256", false),
    ])
  func loopback(host: String, isLoopback: Bool) { #expect(WebAddress.isLoopback(host) == isLoopback) }
}
