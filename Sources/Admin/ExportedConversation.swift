import Exports

/// A conversation as a row of an export.
enum ExportedConversation {
  /// The columns, in the order of the cursor's. What an agent looks for first comes first; ids and details come last.
  static let columns: [ExportColumn] = [
    .init("id"), .init("createdAt", .time), .init("customerName"), .init("customerPhone"), .init("customerEmail"),
    .init("status"), .init("leadQuality"), .init("leadScore", .number), .init("intent"), .init("budget"),
    .init("propertyType"), .init("preferredArea"), .init("source"), .init("assignedAgentName"), .init("tags"),
    .init("notes"), .init("followUpDate", .time), .init("outcome"), .init("conversionValue", .number),
    .init("slaState"), .init("slaBreached", .flag), .init("slaResponseDeadline", .time),
    .init("firstResponseAt", .time), .init("startTime", .time), .init("endTime", .time),
    .init("durationMinutes", .number), .init("lastMessageAt", .time), .init("lastMessageSnippet"),
    .init("unreadCount", .number), .init("updatedAt", .time), .init("customerId"), .init("assignedAgentId"),
    .init("leadScoreBreakdown"),
  ]

  /// The further columns that a request may name in `with`.
  static let further = ["messages"]
}
