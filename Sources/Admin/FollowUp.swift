import Contract
import Forms
import Store
import StoreAccess
import Wire

/// A follow-up that an agent has promised a customer.
package enum FollowUp {
  private static let types = Rule.choice(["email", "sms", "whatsapp", "call"])
  private static let priorities = Rule.choice(["high", "medium", "low"])
  private static let notifyCustomer = Field.optional("notifyCustomer", .boolean)
  /// Optional, because a change may keep the date.
  private static let date = Field.optional("followUpDate", .instant)
  private static let common: [any FormField] = [
    .optional("reminderText", .text(1...500)), .optional("priority", priorities), .optional("assignedAgentId", .uuid),
  ]

  package static let newForm = Form(
    [
      .required(date.name, .instant), .required("reminderType", types), notifyCustomer,
    ] + common)

  package static let changeForm = Form(
    changing: [
      .optional("status", .choice(["scheduled", "in_progress", "completed", "cancelled"])),
      date, .optional("reminderType", types), .optional("notes", .text(1...2000)), notifyCustomer,
    ] + common, clearable: [])

  package static let listForm = Form([
    .optional("status", .choices(["scheduled", "in_progress", "completed", "cancelled", "overdue"])),
    .optional("assignedAgentId", .uuid), .optional("conversationId", .uuid), .optional("from", .instant),
    .optional("to", .instant), .optional("limit", .pageSize(max: 200)), .optional("cursor", .cursor),
  ])

  /// Rejects a date more than 60 seconds in the past.
  package static func check(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    var errors = FormError()
    if let date = checked.values[date], date < checked.request.receivedAt.adding(seconds: -60) {
      errors.add(.inThePast, at: Self.date.name)
    }
    guard errors.isEmpty else { throw Problem(errors) }
    return checked.document
  }

  package static let schema: JSON = [
    "type": "object", "required": ["id", "conversationId", "followUpDate", "reminderType", "priority", "status"],
    "properties": [
      "id": Schema.uuid, "conversationId": Schema.uuid,
      "customerName": Schema.perhapsText, "assignedAgentId": Schema.perhapsUUID,
      "assignedAgentName": Schema.perhapsText, "followUpDate": Schema.time,
      "reminderType": ["enum": ["email", "sms", "whatsapp", "call"]], "reminderText": Schema.perhapsText,
      "priority": ["enum": ["high", "medium", "low"]],
      "status": ["enum": ["scheduled", "in_progress", "completed", "cancelled", "overdue"]],
      "notes": Schema.perhapsText, "completedAt": Schema.perhapsTime, "remindedAt": Schema.perhapsTime,
      "notifyCustomer": ["type": "boolean"],
      "createdAt": Schema.time, "updatedAt": Schema.time,
    ],
  ]

  /// The schema of a reply to a new follow-up or a change, which can have warnings.
  package static let savedSchema = schema.setting(
    "properties",
    (schema["properties"] ?? [:]).setting(
      "warnings", ["type": "array", "items": FieldError.schema]))

  /// Adds a warning for each thing that was asked for and waits for a provider: a reminder by SMS or WhatsApp, which the
  /// agent gets by email, and a message to the customer.
  package static func withWarnings(_ result: JSON) -> JSON {
    var warnings: [FieldError] = []
    let isOpen = !["completed", "cancelled"].contains(result["status"]?.string ?? "")
    if isOpen, ["sms", "whatsapp"].contains(result["reminderType"]?.string ?? "") {
      warnings.append(FieldError(.reminderWaitsForProvider, at: "reminderType"))
    }
    if isOpen, result["notifyCustomer"]?.bool == true {
      warnings.append(FieldError(.customerNotificationsUnsupported, at: notifyCustomer.name))
    }
    return warnings.isEmpty ? result : result.setting("warnings", .array(warnings.map(\.document)))
  }
}
