import Contract
import Forms
import Store
import Wire

/// What an agent promises a customer.
package enum FollowUp {
  private static let types = Form.Rule.choice(["email", "sms", "whatsapp", "call"])
  private static let priorities = Form.Rule.choice(["high", "medium", "low"])
  private static let common: [Form.Field] = [
    .optional("reminderText", .text(1...500)), .optional("priority", priorities), .optional("assignedAgentId", .uuid),
  ]

  package static let newForm = Form(
    [
      .required("followUpDate", .instant), .required("reminderType", types), .optional("notifyCustomer", .boolean),
    ] + common)

  /// This version writes to no customer.
  package static let newSchema = newForm.schema.setting(
    "properties",
    (newForm.schema["properties"] ?? [:]).setting(
      "notifyCustomer", ["anyOf": [["const": false], ["type": ["string", "null"], "pattern": "^\\s*$"]]]))

  package static let changeForm = Form(
    [
      .optional("status", .choice(["scheduled", "in_progress", "completed", "cancelled"])),
      .optional("followUpDate", .instant), .optional("reminderType", types), .optional("notes", .text(1...2000)),
    ] + common, isChange: true)

  package static let listForm = Form([
    .optional("status", .choices(["scheduled", "in_progress", "completed", "cancelled", "overdue"])),
    .optional("assignedAgentId", .uuid), .optional("conversationId", .uuid), .optional("from", .instant),
    .optional("to", .instant), .optional("limit", .integer(1...200)), .optional("cursor", .cursor),
  ])

  /// Refuses a date that is past, and a message to the customer: nothing of this version sends one.
  package static func check(_ question: AdminEndpoint.Question) throws(Problem) -> JSON {
    var faults: [Form.Fault] = []
    if let date = question.document["followUpDate"]?.string.flatMap(Instant.init(iso8601:)),
      date < question.request.receivedAt.adding(seconds: -60)
    {
      faults.append(.init(path: "followUpDate", message: "is past"))
    }
    if question.document["notifyCustomer"]?.bool == true {
      faults.append(
        .init(path: "notifyCustomer", message: "is not supported by this version: it writes to no customer"))
    }
    guard faults.isEmpty else { throw Problem(Form.Faults(faults: faults)) }
    return question.document
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
