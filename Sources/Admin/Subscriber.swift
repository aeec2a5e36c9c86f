import Forms
import Wire

/// A current or former newsletter subscriber.
package enum Subscriber {
  private static let statuses = ["active", "unsubscribed", "spam"]

  package static let listForm = Form(
    [.optional("status", .choice(statuses)), .optional("query", .text(1...254))] + Page.fields)

  package static let schema: JSON = [
    "type": "object", "required": ["id", "email", "status", "source", "subscribedAt", "unsubscribedAt"],
    "properties": [
      "id": Schema.uuid, "email": ["type": "string"],
      "status": ["enum": .array(statuses.map(JSON.string))], "source": Schema.perhapsText,
      "subscribedAt": Schema.time,
      "unsubscribedAt": Schema.perhapsTime,
    ],
  ]
}
