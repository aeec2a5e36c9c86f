import Wire

/// The notifications of automatic assignments.
extension NotificationTemplate {
  /// One lead: who has it now and, if it was passed on, who had it before.
  static func assigned(_ payload: JSON) -> NotificationTemplate {
    let header = payload["agentNameBefore"]?.string == nil ? "👤 Lead Assigned" : "🔀 Lead Passed On"
    return NotificationTemplate(
      header: header, subject: header,
      rows: [
        Row("Name", "customerName"), Row("Phone", phone), Row("Score", score),
        Row("Deadline", mayBeAbsent: true, moment("slaResponseDeadline")),
        Row("Had It", mayBeAbsent: true, line("agentNameBefore")), Row("Agent", "agentName"),
        Row("Why", mayBeAbsent: true, cause),
      ])
  }

  /// Several assignments that have no notification of their own.
  static let assignments = NotificationTemplate(
    header: "👤 Leads Assigned", subject: "👤 Leads Assigned",
    rows: [
      Row("Assigned", mayBeAbsent: true, conversations("assigned")),
      Row("Passed On", mayBeAbsent: true, conversations("moved")),
      Row("Where to Look") { _ in "Each conversation's timeline says who had it and who has it now." },
    ], topic: conversations("sumsUp"), listPath: "/admin/inbox")

  /// Overdue leads that no agent can take.
  static let waiting = NotificationTemplate(
    header: "🙋 Leads Wait for an Agent", subject: "🙋 Leads Wait for an Agent",
    rows: [
      Row("Waiting", conversations("waiting")), Row("Of Them Hot", mayBeAbsent: true, conversations("hot")),
      Row("Oldest Deadline", mayBeAbsent: true, moment("oldestDeadline")), Row("Why", shortage),
    ], topic: conversations("waiting"), listPath: "/admin/inbox")

  private static let cause: @Sendable (JSON) -> String? = { payload in
    switch payload["cause"]?.string {
    case "new": "A new lead"
    case "overdue": "Overdue, and no agent had it"
    case "unanswered": "Overdue, and its agent has not answered"
    default: nil
    }
  }

  private static let shortage: @Sendable (JSON) -> String? = { payload in
    payload["reason"]?.string == "none_available"
      ? "No agent is available" : "All available agents have as many open leads as they can take"
  }
}
