import Deliveries
import Testing
import Wire

@Suite("notifications of follow-ups")
struct FollowUpNotificationTests {
  private static let due: JSON = [
    "dueAt": "2026-11-28T06:05:00.000Z", "reminderType": "call", "reminderText": "Ask about\nthe viewing",
    "priority": "high", "customerName": "Sara Ahmed", "customerPhone": "+97141234567", "customerPhoneExtension": "12",
    "assignedAgentName": "Omar",
  ]

  private static func values(_ payload: JSON, type: String = "lead.follow_up_due") -> [String: String] {
    let fields = Sample.notification(payload, eventType: type).fields
    return Dictionary(uniqueKeysWithValues: fields.map { ($0.label, $0.value) })
  }

  @Test("a call says whom to call, when, and why") func call() {
    let notification = Sample.notification(Self.due, eventType: "lead.follow_up_due", frontend: "https://app.example")
    #expect(notification.subject == "📞 Call the Customer: Sara Ahmed")
    #expect(
      notification.fields == [
        .init("What to Do", "Call the customer: +97141234567 ext. 12"),
        .init("Due", "Sat 28 Nov 2026, 10:05 (Asia/Dubai)"), .init("Name", "Sara Ahmed"),
        .init("Phone", "+97141234567 ext. 12"), .init("Reminder", "Ask about\nthe viewing", isLong: true),
        .init("Priority", "high"), .init("Agent", "Omar"),
      ])
    #expect(notification.links.map(\.label) == ["View in Admin Panel"])
  }

  @Test("a reminder says what could not be done") func notes() {
    let notes: [(JSON, String?)] = [
      (["reminderType": "email"], nil),
      (["reminderType": "sms"], "This reminder was to be sent by SMS, which is not available yet."),
      (
        ["reminderType": "whatsapp", "agentHasNoAddress": true],
        "This reminder was to be sent by WhatsApp, which is not available yet. The agent has no email address."
      ),
      (["notifyCustomer": true], "The customer has not been notified: messages to customers are not available yet."),
    ]
    for (payload, note) in notes {
      #expect(Self.values(payload)["Note"] == note)
      #expect(Self.values(payload)["Agent"] == "Nobody is assigned.")
    }
  }

  @Test("a summary names no customer") func summary() {
    let payload: JSON = ["sumsUp": 37, "oldestDue": "2026-11-25T06:05:00.000Z", "assignedAgentName": "Omar"]
    let notification = Sample.notification(payload, eventType: "lead.follow_up_due")
    #expect(notification.subject == "⏰ Follow-ups Are Due: 37 follow-ups")
    #expect(notification.fields.prefix(2).map(\.value) == ["37 follow-ups", "Wed 25 Nov 2026, 10:05 (Asia/Dubai)"])
  }

  @Test("a digest groups its lines and isolates what people wrote") func digest() {
    let payload: JSON = [
      "day": "2026-11-28", "overdue": 1, "today": 0, "waiting": 61, "more": 12, "assignedAgentName": "Omar",
      "lines": [
        [
          "kind": "overdue", "at": "2026-11-27T06:05:00.000Z", "customerName": "سارة\r\nBcc: x",
          "customerPhone": "+971501234567", "reminderType": "call", "reminderText": "ask\nher",
        ], ["kind": "waiting", "at": "2026-11-28T08:00:00.000Z", "leadQuality": "hot"],
      ],
    ]
    let notification = Sample.notification(payload, eventType: "agent.digest")
    #expect(notification.subject == "📋 Daily Digest: 2026-11-28, 1 overdue, 61 waiting")
    let values = Self.values(payload, type: "agent.digest")
    #expect(
      values["Overdue Follow-ups"]
        == "Fri 27 Nov 2026 10:05 · \u{2068}سارة Bcc: x\u{2069} · +971501234567 · call: \u{2068}ask her\u{2069}")
    #expect(values["Waiting for a First Response"] == "Sat 28 Nov 2026 12:00 · N/A · hot")
    #expect(values["Follow-ups Today"] == nil)
    #expect(values["Not Shown"] == "12 more: the admin panel lists all.")
  }
}
