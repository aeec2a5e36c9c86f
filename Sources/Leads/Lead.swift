import Forms
import Wire

/// A validated lead, as used by all other modules.
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
  /// The conversation that this request continues, if it names one.
  package var conversationID: UUIDText?
  package var intent: String?
  package var budget: String?
  /// What was read in the budget, or in the price that an owner expects. Leads are scored and sorted by its value.
  package var amount: Amount?
  package var propertyType: String?
  package var preferredArea: String?
  package var tags: [String] = []
  package var notes: String?
  package var metadata: JSON?
  package var messages: [Message] = []
  package var idempotencyKey: String?
  /// Fields that only one form has, by name.
  package var details: JSON = [:]
  /// An error for each value that could not be used.
  package var warnings: [FieldError] = []
  /// The values that could not be used, by their paths.
  var aside: JSON = [:]
  package var score = Score(points: 0, quality: "cold", breakdown: [:])
  package var receivedAt: Instant
}

/// A form whose requests become leads.
package protocol LeadForm: Sendable {
  var form: Form { get }
  /// Validates a request body and returns its lead. There is no other way to create a lead from a request. All errors
  /// of the request are reported together.
  func lead(checking body: JSON, receivedAt: Instant) throws(FormError) -> Lead
}

/// Fields that several lead forms share. What identifies the customer or the request is strict. An unusable value of
/// any other optional field must not lose a lead, so those are lenient.
enum LeadField {
  static let name = Field.required("customerName", .text(2...200))
  static let phone = Field.optional("customerPhone", .phone)
  static let email = Field.optional("customerEmail", .email).lenient(beside: phone)
  static let budget = Field.optional("budget", .textOrNumber(1...200)).lenient
  static let propertyType = Field.optional("propertyType", .text(1...200)).lenient
  static let preferredArea = Field.optional("preferredArea", .text(1...200)).lenient
  static let idempotencyKey = Field.optional("idempotencyKey", .key)
}

extension Lead {
  package static let qualities = ["hot", "warm", "cold"]
  static let intents = ["buy", "rent", "sell", "invest", "browse"]
  /// Other names of intents, which chatbots send as the customer chose or wrote them.
  static let intentNames = [
    "buy": ["buying", "purchase", "شراء"], "rent": ["renting", "rental", "lease", "إيجار", "ايجار"],
    "sell": ["selling", "بيع"], "invest": ["investing", "investment", "استثمار"], "browse": ["browsing"],
  ]

  /// Sets the fields that all forms share. Each form adds the rest.
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

  mutating func readAmount(in text: String?) { amount = text.flatMap(Amount.read) }

  /// Adds to the metadata what no column holds: the values that could not be used, and the phone number's extension.
  mutating func keepAside(_ form: CheckedForm) {
    warnings = form.warnings + warnings
    // At most 50 values and 16 KiB; each has its warning nevertheless.
    var bytes = 0
    aside = .object(
      ((form.aside.members ?? []) + (aside.members ?? [])).prefix(50).filter { member in
        bytes += member.key.utf8.count + member.value.bytes.count
        return bytes <= 16_384
      })
    if let kept = customerPhone?.phoneExtension {
      metadata = (metadata ?? [:]).setting("customerPhoneExtension", .string(kept))
    }
    if aside.members?.isEmpty == false { metadata = (metadata ?? [:]).setting("setAside", aside) }
  }

  /// Returns when the first response is due, for the lead's quality. For a lead that continues a conversation, also for
  /// all others, because the stored quality decides when the conversation is reopened.
  package func responseDeadlines(within hours: OfficeHours?) -> [String: Instant] {
    let qualities = conversationID == nil ? [score.quality] : Self.qualities
    return Dictionary(
      uniqueKeysWithValues: qualities.map { ($0, SLA.deadline(quality: $0, receivedAt: receivedAt, within: hours)) })
  }

  /// The time from the first message to the last, in whole minutes. Nil without messages.
  package var durationMinutes: Int? {
    guard let first = messages.map(\.time).min(), let last = messages.map(\.time).max() else { return nil }
    return last.seconds(since: first) / 60
  }

  /// The values that were set aside, for people: one in a line, each at most 200 characters long, of at most ten
  /// values. Nil if there are none.
  private var asideText: String? {
    let lines = (aside.members ?? []).prefix(10).map { member in
      let text = cleanLine(member.value.string ?? member.value.text)
      return "\(member.key): " + String(text.unicodeScalars.prefix(200))
    }
    return lines.isEmpty ? nil : lines.joined(separator: "\n")
  }

  /// The data for a notification. Absent values are left out.
  package var eventPayload: JSON {
    let facts: JSON = [
      "source": .string(source), "customerName": .string(customerName), "customerPhone": JSON(customerPhone?.e164),
      "customerPhoneExtension": JSON(customerPhone?.phoneExtension), "customerEmail": JSON(customerEmail?.text),
      "intent": JSON(intent), "budget": JSON(budget), "propertyType": JSON(propertyType),
      "preferredArea": JSON(preferredArea), "leadScore": JSON(score.points), "leadQuality": .string(score.quality),
      "durationMinutes": JSON(durationMinutes), "setAside": JSON(asideText),
    ]
    return .object((facts.withoutNulls.members ?? []) + (details.members ?? []))
  }
}

extension Lead {
  /// The normalised data of this request, under the member names of the API's ConversationDTO. It does not include
  /// anything stored earlier.
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

  /// The schema of `facts` plus the members that the store adds: the conversation in a 201 reply.
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
