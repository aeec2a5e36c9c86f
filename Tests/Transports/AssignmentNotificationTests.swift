import Deliveries
import Testing
import Wire

@Suite("The notifications of automatic assignments") struct AssignmentNotificationTests {
  private static let lead: JSON = [
    "source": "chatbot", "automatic": true, "customerName": "Sara Ahmed", "customerPhone": "+971501234567",
    "leadScore": 95, "leadQuality": "hot", "slaResponseDeadline": "2026-11-21T06:05:00.000Z", "agentName": "Omar",
  ]

  @Test("the first agent of a lead is named") func assigned() {
    let notification = Sample.notification(Self.lead.setting("cause", "overdue"), eventType: "lead.assigned")
    #expect(notification.subject == "👤 Lead Assigned: Sara Ahmed")
    #expect(
      notification.fields == [
        .init("Name", "Sara Ahmed"), .init("Phone", "+971501234567"), .init("Score", "95/100 (hot)"),
        .init("Deadline", "Sat 21 Nov 2026, 10:05 (Asia/Dubai)"), .init("Agent", "Omar"),
        .init("Why", "Overdue, and no agent had it"),
      ])
  }

  @Test("a lead that is passed on says who had it and who has it now") func passedOn() {
    let payload = Self.lead.setting("cause", "unanswered").setting("agentNameBefore", "Layla")
    let notification = Sample.notification(payload, eventType: "lead.assigned")
    #expect(notification.subject == "🔀 Lead Passed On: Sara Ahmed")
    #expect(notification.fields.suffix(3).map(\.label) == ["Had It", "Agent", "Why"])
    #expect(
      notification.fields.suffix(3).map(\.value) == ["Layla", "Omar", "Overdue, and its agent has not answered"])
  }

  @Test("many assignments are summed up") func summary() {
    let notification = Sample.notification(
      ["automatic": true, "sumsUp": 31, "assigned": 30, "moved": 1], eventType: "lead.assigned")
    #expect(notification.subject == "👤 Leads Assigned: 31 conversations")
    #expect(notification.fields.prefix(2).map(\.value) == ["30 conversations", "1 conversation"])
  }

  @Test("leads that wait are counted, with the reason", arguments: ["none_available", "all_at_capacity"])
  func waiting(reason: String) {
    let notification = Sample.notification(
      [
        "sumsUp": 3, "waiting": 3, "hot": 0, "oldestDeadline": "2026-11-21T06:05:00.000Z", "reason": .string(reason),
      ], eventType: "sla.breached")
    #expect(notification.subject == "🙋 Leads Wait for an Agent: 3 conversations")
    #expect(notification.fields.map(\.label) == ["Waiting", "Oldest Deadline", "Why"])
    #expect(notification.fields.last?.value.isEmpty == false)
  }
}
