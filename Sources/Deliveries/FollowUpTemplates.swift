import Wire

extension NotificationTemplate {
  /// The reminder of one follow-up. `type` is how the agent asked to be reminded.
  static func reminder(of type: String?) -> NotificationTemplate {
    let isCall = type == "call"
    let task =
      isCall
      ? [Row("What to Do") { payload in "Call the customer: \(phone(payload) ?? "no phone number is known")" }] : []
    return NotificationTemplate(
      header: isCall ? "📞 Call the Customer" : "⏰ Follow-up Reminder",
      subject: isCall ? "📞 Call the Customer" : "⏰ Follow-up Reminder",
      rows: task + [
        Row("Due", moment("dueAt")), Row("Name", "customerName"), Row("Phone", phone),
        Row("Email", mayBeAbsent: true, line("customerEmail")),
        .long("Reminder", "reminderText", mayBeAbsent: true), Row("Priority", mayBeAbsent: true, line("priority")),
        Row("Agent") { line("assignedAgentName")($0) ?? "Nobody is assigned." },
        Row("Note", mayBeAbsent: true, reminderNotes),
      ])
  }

  /// What an agent or the office must know about how a reminder was sent.
  private static let reminderNotes: @Sendable (JSON) -> String? = { payload in
    var notes: [String] = []
    let missing = ["sms": "SMS", "whatsapp": "WhatsApp"]
    if let way = payload["reminderType"]?.string.flatMap({ missing[$0] }) {
      notes.append("This reminder was to be sent by \(way), which is not available yet.")
    }
    if payload["agentHasNoAddress"]?.bool == true { notes.append("The agent has no email address.") }
    if payload["notifyCustomer"]?.bool == true {
      notes.append("The customer has not been notified: messages to customers are not available yet.")
    }
    return notes.isEmpty ? nil : notes.joined(separator: " ")
  }

  /// Of several follow-ups of one agent that have no reminder of their own.
  static let reminderSummary = NotificationTemplate(
    header: "⏰ Follow-ups Are Due", subject: "⏰ Follow-ups Are Due",
    rows: [
      Row("Due", followUps("sumsUp")), Row("Oldest", mayBeAbsent: true, moment("oldestDue")),
      Row("Agent") { line("assignedAgentName")($0) ?? "Nobody is assigned, or the agent has no email address." },
      Row("Where to Look") { _ in "The list of follow-ups has all of them: those that are overdue come first." },
    ], topic: followUps("sumsUp"), listPath: "/admin/follow-ups")

  private static func followUps(_ key: String) -> @Sendable (JSON) -> String? {
    { payload in payload[key]?.integer.map { "\($0) follow-up\($0 == 1 ? "" : "s")" } }
  }

  /// The follow-ups and waiting leads of one agent, or of the office, for a day. The subject has no personal data.
  static let digest = NotificationTemplate(
    header: "📋 Daily Digest", subject: "📋 Daily Digest",
    rows: [
      Row("Day") { payload, clock in line("day")(payload).map { "\($0), times in \(clock.zone)" } },
      Row("For") { line("assignedAgentName")($0) ?? "the office: what no other digest has" },
      Row("In Short", digestCounts),
      digestLines("Overdue Follow-ups", "overdue"), digestLines("Follow-ups Today", "today"),
      digestLines("Waiting for a First Response", "waiting"),
      Row("Not Shown", mayBeAbsent: true) { payload in
        payload["more"]?.integer.flatMap { $0 > 0 ? "\($0) more: the admin panel lists all." : nil }
      },
    ],
    topic: { payload in
      [line("day")(payload), digestCounts(payload)].compactMap(\.self).joined(separator: ", ")
    }, listPath: "/admin/follow-ups")

  private static let digestCounts: @Sendable (JSON) -> String? = { payload in
    let counts = ["overdue", "today", "waiting"].compactMap { kind in
      payload[kind]?.integer.flatMap { $0 > 0 ? "\($0) \(kind)" : nil }
    }
    return counts.isEmpty ? nil : counts.joined(separator: ", ")
  }

  /// The lines of one kind; nil without any.
  private static func digestLines(_ label: String, _ kind: String) -> Row {
    var row = Row(label, mayBeAbsent: true) { payload, clock in
      let lines = (payload["lines"]?.array ?? []).filter { $0["kind"]?.string == kind }
      return lines.isEmpty ? nil : lines.map { digestLine($0, clock) }.joined(separator: "\n")
    }
    row.isLong = true
    return row
  }

  /// `Sat 28 Nov 2026 10:05 · Sara Ahmed · +971501234567 · call: Ask about the viewing`. What people wrote is isolated,
  /// so that the parts of a line keep their order beside right-to-left text.
  private static func digestLine(_ item: JSON, _ clock: LocalClock) -> String {
    func isolated(_ key: String) -> String? { line(key)(item).map { "\u{2068}\($0)\u{2069}" } }
    let type = line("reminderType")(item)
    let task = type.map { type in type + (isolated("reminderText").map { ": \($0)" } ?? "") }
    return [
      item["at"]?.instant.map { clock.text($0) }, isolated("customerName") ?? "N/A",
      line("customerPhone")(item) ?? line("customerEmail")(item), line("leadQuality")(item), task,
      isolated("agentName").map { "agent: \($0)" },
    ].compactMap(\.self).joined(separator: " · ")
  }
}
