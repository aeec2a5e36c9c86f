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

  /// Like the form's schema, but `notifyCustomer` cannot be true: this version sends nothing to customers.
  package static let newSchema = newForm.schema.setting(
    "properties",
    (newForm.schema["properties"] ?? [:]).setting(
      "notifyCustomer", ["anyOf": [["const": false], ["type": ["string", "null"], "pattern": "^\\s*$"]]]))

  package static let changeForm = Form(
    changing: [
      .optional("status", .choice(["scheduled", "in_progress", "completed", "cancelled"])),
      date, .optional("reminderType", types), .optional("notes", .text(1...2000)),
    ] + common, clearable: [])

  package static let listForm = Form([
    .optional("status", .choices(["scheduled", "in_progress", "completed", "cancelled", "overdue"])),
    .optional("assignedAgentId", .uuid), .optional("conversationId", .uuid), .optional("from", .instant),
    .optional("to", .instant), .optional("limit", .pageSize(max: 200)), .optional("cursor", .cursor),
  ])

  /// Rejects a date more than 60 seconds in the past, and a notification to the customer, which this version cannot
  /// send.
  package static func check(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    var errors = FormError()
    if let date = checked.values[date], date < checked.request.receivedAt.adding(seconds: -60) {
      errors.add(.inThePast, at: Self.date.name)
    }
    if checked.values[notifyCustomer] == true {
      errors.add(.customerNotificationsUnsupported, at: notifyCustomer.name)
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
      "notes": Schema.perhapsText, "completedAt": Schema.perhapsTime,
      "createdAt": Schema.time, "updatedAt": Schema.time,
    ],
  ]
}
