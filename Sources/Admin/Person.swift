import Contract
import Forms
import Leads
import Wire

/// What is stored about a person, for the routes of owners. A contact is in the body of a request, never in its URL, which
/// access logs contain.
package enum Person {
  private static let contact = Field.required("contact", .contact)

  package static let form = Form([contact])
  /// The numbers are those that `person-show` has returned: they confirm that the owner has seen what is erased.
  package static let eraseForm = Form([
    contact, .required("conversations", .integer(0...1_000_000)), .required("subscriptions", .integer(0...1_000_000)),
  ])
  package static let mergeForm = Form([.required("keep", .contact), .required("merge", .contact)])
  package static let undoForm = Form([.required("id", .uuid)])

  /// Returns the argument of an SQL function: the contact as `phone` or `email`, and the other fields.
  package static func argument(_ document: JSON) -> JSON {
    (document["contact"]?.members ?? []).reduce(document.removing("contact")) { $0.setting($1.key, $1.value) }
  }

  private static let numbers: JSON = ["type": "array", "items": ["type": "string"]]
  package static let schema: JSON = [
    "type": "object", "required": ["phones", "emails", "conversations", "subscriptions", "merges"],
    "properties": [
      "phones": numbers, "emails": numbers,
      "conversations": [
        "type": "array",
        "items": [
          "type": "object", "required": ["id", "createdAt", "name", "status", "source", "consent", "messages"],
          "properties": [
            "id": Schema.uuid, "createdAt": Schema.time, "name": Schema.perhapsText, "status": ["type": "string"],
            "source": Schema.perhapsText, "consent": ["description": "as the customer gave it, with its time"],
            "messages": ["type": "integer"],
          ],
        ],
      ],
      "subscriptions": [
        "type": "array",
        "items": [
          "type": "object", "required": ["email", "status", "subscribedAt"],
          "properties": [
            "email": ["type": "string"], "status": ["type": "string"], "subscribedAt": Schema.time,
          ],
        ],
      ],
      "merges": [
        "type": "array", "description": "those that can be undone",
        "items": [
          "type": "object", "required": ["id", "createdAt", "by"],
          "properties": ["id": Schema.uuid, "createdAt": Schema.time, "by": ["type": "string"]],
        ],
      ],
    ],
  ]

  package static let erasedSchema = counts(["conversations", "subscriptions", "consents", "notificationsCancelled"])
  package static let mergedSchema: JSON = [
    "type": "object", "required": ["id", "isNew", "conversations", "contacts"],
    "properties": [
      "id": ["type": ["string", "null"], "format": "uuid", "description": "of the merge, to undo it"],
      "isNew": ["type": "boolean", "description": "false if there was nothing to do"],
      "conversations": ["type": "integer"], "contacts": ["type": "integer"],
    ],
  ]

  private static func counts(_ names: [String]) -> JSON {
    [
      "type": "object", "required": .array(names.map(JSON.string)),
      "properties": .object(names.map { JSON.Member($0, ["type": "integer"]) }),
    ]
  }
}
