import Handler
import Leads
import Wire

/// What became of a captured lead.
package struct Captured: Sendable, Equatable {
  package enum Outcome: String, Sendable {
    case created, continued, replayed
    /// The idempotency key was used before, with another content.
    case mismatch
  }

  package let outcome: Outcome
  /// Whether the request, or the one it repeats, made the conversation.
  package let isNew: Bool
  package let id: String
  package let status: String
  package let createdAt: String
  package let updatedAt: String
  /// Nil where the event tables are gone, and for what makes no event.
  package let eventID: String?

  /// Says that this answer was given before.
  package var replayHeader: [String: String] { outcome == .replayed ? ["idempotency-replayed": "true"] : [:] }
}

extension Database {
  /// Stores a lead with its messages, event and timeline entry in one transaction.
  /// - Parameters:
  ///   - route: the scope of the idempotency key.
  ///   - content: the body as sent; two requests with one key must agree in it.
  ///   - due: when a first answer is.
  func capture(
    _ lead: Lead, route: String, content: JSON, due: Instant, deadline: Instant, log: Log
  ) throws(Problem) -> Captured {
    let argument = lead.argument(route: route, content: content, due: due)
    let reply = try call(.captureLead, argument, deadline: deadline, log: log)
    guard let outcome = reply["outcome"]?.string.flatMap(Captured.Outcome.init) else {
      throw Problem(.internalError, "the database gave an answer of another version")
    }
    return Captured(
      outcome: outcome, isNew: reply["created"]?.bool == true, id: reply["id"]?.string ?? "",
      status: reply["status"]?.string ?? "", createdAt: reply["createdAt"]?.string ?? "",
      updatedAt: reply["updatedAt"]?.string ?? "", eventID: reply["eventId"]?.string)
  }
}

extension Lead {
  /// The argument of capture_lead.
  fileprivate func argument(route: String, content: JSON, due: Instant) -> JSON {
    let idempotency: JSON? = idempotencyKey.map {
      ["key": .string($0), "content": content.removing("idempotencyKey")]
    }
    return [
      "route": .string(route), "receivedAt": .string(receivedAt.iso8601), "conversationId": JSON(conversationID?.text),
      "source": .string(source), "idempotency": idempotency ?? .null,
      "lead": [
        "customerName": .string(customerName), "customerPhone": JSON(customerPhone?.e164),
        "customerEmail": JSON(customerEmail?.text), "intent": JSON(intent), "budget": JSON(budget),
        "propertyType": JSON(propertyType), "preferredArea": JSON(preferredArea), "leadScore": JSON(score.points),
        "leadQuality": .string(score.quality), "leadScoreBreakdown": score.breakdown,
        "tags": .array(tags.map(JSON.string)), "notes": JSON(notes), "metadata": metadata ?? .null,
        "deviceInfo": metadata?["device"] ?? .null, "startTime": JSON(messages.map(\.time).min()?.iso8601),
        "endTime": JSON(messages.map(\.time).max()?.iso8601), "durationMinutes": JSON(durationMinutes),
        "slaDeadline": .string(due.iso8601),
      ],
      "messages": .array(
        messages.map {
          [
            "id": .string($0.id), "sender": .string($0.sender), "text": .string($0.text), "type": .string($0.type),
            "timestamp": .string($0.time.iso8601), "metadata": $0.metadata ?? .null,
          ]
        }),
      "event": ["type": "lead.created", "payload": eventPayload],
      "timeline": ["title": "Lead Created", "description": .string("Captured from \(source)")],
    ]
  }
}
