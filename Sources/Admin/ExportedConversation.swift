import Exports

/// A conversation as a row of an export.
enum ExportedConversation {
  /// The columns, in the order of the cursor's. What an agent looks for first comes first; ids and details come last.
  static let columns: [ExportColumn] = [
    .init("id"), .init("createdAt", .time), .init("customerName"), .init("customerPhone"),
    .init("customerEmail", .email),
    .init("status"), .init("leadQuality"), .init("leadScore", .number), .init("intent"), .init("budget"),
    .init("propertyType"), .init("preferredArea"), .init("source"), .init("assignedAgentName"), .init("tags"),
    .init("notes", .link), .init("followUpDate", .time), .init("outcome"), .init("conversionValue", .number),
    .init("slaState"), .init("slaBreached", .flag), .init("slaResponseDeadline", .time),
    .init("firstResponseAt", .time), .init("startTime", .time), .init("endTime", .time),
    .init("durationMinutes", .number), .init("lastMessageAt", .time), .init("lastMessageSnippet", .link),
    .init("unreadCount", .number), .init("updatedAt", .time), .init("customerId"), .init("assignedAgentId"),
    .init("leadScoreBreakdown"),
  ]

  /// The columns of a PDF, with the widths of an A4 page in landscape.
  static let printed: [(name: String, column: PDFTable.Column)] = [
    ("createdAt", .init("Created", 70, limit: "2026-11-28 21:30".utf8.count)), ("customerName", .init("Name", 102)),
    ("customerPhone", .init("Phone", 74)),
    ("customerEmail", .init("Email", 110)), ("status", .init("Status", 50)), ("leadQuality", .init("Quality", 38)),
    ("leadScore", .init("Score", 28, isNumber: true)), ("intent", .init("Intent", 36)), ("budget", .init("Budget", 62)),
    ("preferredArea", .init("Area", 78)), ("assignedAgentName", .init("Agent", 64)),
    ("conversionValue", .init("Value", 50, isNumber: true)), ("slaState", .init("SLA", 38)),
  ]

  /// The further columns that a request may name in `with`.
  static let further = ["messages"]
}
