import Forms
import Wire

/// A lead that has passed every check: what the rest of the house works with.
package struct Lead: Sendable, Equatable {
  package struct Message: Sendable, Equatable {
    package let id: String
    /// bot, customer or agent.
    package let sender: String
    package let text: String
    package let type: String
    package let time: Instant
    package let metadata: JSON?
  }

  package var source: String
  package var customerName: String
  package var customerPhone: PhoneNumber?
  package var customerEmail: EmailAddress?
  /// The conversation that this request continues, if it says so.
  package var conversationID: UUIDText?
  package var intent: String?
  package var budget: String?
  package var propertyType: String?
  package var preferredArea: String?
  package var tags: [String] = []
  package var notes: String?
  package var metadata: JSON?
  package var messages: [Message] = []
  package var idempotencyKey: String?
  /// What only one form asks, under the names of its fields.
  package var details: JSON = [:]
  package var score = Score(points: 0, quality: "cold", breakdown: [:])
  package var receivedAt: Instant
}

/// A form whose requests become leads.
package protocol LeadForm: Sendable {
  var form: Form { get }
  /// The only way from a request to a lead; all errors of the request come at once.
  func lead(checking body: JSON, receivedAt: Instant) throws(FormError) -> Lead
}

/// The fields that several forms of leads have.
enum LeadField {
  static let name = Field.required("customerName", .text(2...200))
  static let phone = Field.optional("customerPhone", .phone)
  static let email = Field.optional("customerEmail", .email)
  static let budget = Field.optional("budget", .text(1...200))
  static let propertyType = Field.optional("propertyType", .text(1...200))
  static let preferredArea = Field.optional("preferredArea", .text(1...200))
  static let idempotencyKey = Field.optional("idempotencyKey", .key)
}

extension Lead {
  package static let qualities = ["hot", "warm", "cold"]

  /// What the forms have in common; the rest is for each form to add.
  init(_ form: CheckedForm, source: String, receivedAt: Instant) {
    self.source = source
    self.receivedAt = receivedAt
    customerName = form[LeadField.name]
    customerPhone = form[LeadField.phone]
    customerEmail = form[LeadField.email]
    budget = form[LeadField.budget]
    propertyType = form[LeadField.propertyType]
    preferredArea = form[LeadField.preferredArea]
    idempotencyKey = form[LeadField.idempotencyKey]
  }

  /// When a first answer is due.
  package func responseDeadline(within hours: OfficeHours?) -> Instant {
    SLA.deadline(quality: score.quality, receivedAt: receivedAt, within: hours)
  }

  /// From the first message to the last, in whole minutes; nil without messages.
  package var durationMinutes: Int? {
    guard let first = messages.map(\.time).min(), let last = messages.map(\.time).max() else { return nil }
    return last.seconds(since: first) / 60
  }

  /// The facts that a notification tells; what is absent is left out.
  package var eventPayload: JSON {
    let facts: JSON = [
      "source": .string(source), "customerName": .string(customerName), "customerPhone": JSON(customerPhone?.e164),
      "customerEmail": JSON(customerEmail?.text), "intent": JSON(intent), "budget": JSON(budget),
      "propertyType": JSON(propertyType), "preferredArea": JSON(preferredArea), "leadScore": JSON(score.points),
      "leadQuality": .string(score.quality), "durationMinutes": JSON(durationMinutes),
    ]
    return .object((facts.withoutNulls.members ?? []) + (details.members ?? []))
  }
}

extension Lead {
  /// What this request said, normalised, in the names of the interface's ConversationDTO; nothing that was stored before.
  package var facts: JSON {
    let facts: JSON = [
      "customerName": .string(customerName), "customerPhone": JSON(customerPhone?.e164),
      "customerEmail": JSON(customerEmail?.text), "intent": JSON(intent), "budget": JSON(budget),
      "propertyType": JSON(propertyType), "preferredArea": JSON(preferredArea), "leadScore": JSON(score.points),
      "leadQuality": .string(score.quality), "leadScoreBreakdown": score.breakdown, "source": .string(source),
      "tags": .array(tags.map(JSON.string)), "notes": JSON(notes), "metadata": metadata ?? .null,
      "durationMinutes": JSON(durationMinutes),
    ]
    return facts.withoutNulls
  }

  /// The schema of `facts` with what the store adds: the conversation of a 201.
  package static let conversationSchema: JSON = [
    "type": "object",
    "properties": [
      "id": ["type": "string", "format": "uuid"], "status": ["type": "string"],
      "createdAt": ["type": "string", "format": "date-time"], "updatedAt": ["type": "string", "format": "date-time"],
      "customerName": ["type": "string"], "customerPhone": ["type": "string"], "customerEmail": ["type": "string"],
      "intent": ["type": "string"], "budget": ["type": "string"], "propertyType": ["type": "string"],
      "preferredArea": ["type": "string"], "leadScore": ["type": "integer"], "leadQuality": ["type": "string"],
      "leadScoreBreakdown": ["type": "object"], "source": ["type": "string"],
      "tags": ["type": "array", "items": ["type": "string"]], "notes": ["type": "string"],
      "metadata": ["type": "object"],
      "durationMinutes": ["type": "integer"],
    ],
    "required": ["id", "status", "createdAt", "updatedAt", "customerName"],
  ]
}
