import Contract
import Forms
import Leads
import Wire

/// A member of the agency's staff who responds to customers.
package enum Agent {
  private static let statuses = ["available", "busy", "offline"]
  private static let details: [any FormField] = [
    phone, department, .optional("status", .choice(statuses)), .optional("maxCapacity", .integer(0...1000)),
    .optional("languages", .languages(max: 20)), .optional("areas", .lines(max: 50, each: 1...100)),
  ]
  private static let phone = Field.optional("phone", .phone)
  private static let department = Field.optional("department", .line(1...100))

  package static let newForm = Form(
    [.required("name", .line(2...200)), .required("email", .email)] + details)
  package static let changeForm = Form(
    changing: [.optional("name", .line(2...200)), .optional("email", .email)] + details,
    clearable: [phone, department])
  /// Returns the argument of `update_agent`, with the fields to clear.
  package static func change(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    checked.document.clearing(checked.values.emptied([phone, department], in: try checked.request.json()))
  }

  package static let listForm = Form([.optional("status", .choices(statuses))])

  package static let schema: JSON = [
    "type": "object", "required": ["id", "name", "status", "maxCapacity", "openConversations"],
    "properties": [
      "id": Schema.uuid, "name": ["type": "string"], "email": Schema.perhapsText,
      "phone": Schema.perhapsText, "department": Schema.perhapsText,
      "languages": ["type": "array", "items": ["type": "string"]],
      "areas": ["type": "array", "items": ["type": "string"]], "status": ["type": "string"],
      "maxCapacity": ["type": "integer"], "openConversations": ["type": "integer", "minimum": 0],
      "lastAssignedAt": Schema.perhapsTime, "createdAt": Schema.time, "updatedAt": Schema.time,
    ],
  ]
}
