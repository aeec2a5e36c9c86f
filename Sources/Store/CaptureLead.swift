import Contract
import Forms
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

/// A lead with what its storing needs beside it.
struct CheckedLead {
  let lead: Lead
  let requestID: String
  /// The body as sent; two requests with one idempotency key must agree in it.
  let content: JSON
  /// When a first answer is due.
  let due: Instant
  /// When nobody waits for the reply any more.
  let deadline: Instant
}

extension Database {
  /// Stores leads, each with its messages, event and timeline entry: all in one transaction, or where that cannot be, each in
  /// one of its own. Leads that say the same key or conversation are stored in their order.
  /// - Parameter route: the scope of the idempotency keys.
  func capture(_ leads: [CheckedLead], route: String, log: Log) -> [Result<Captured, Problem>] {
    guard leads.count > 1 else { return leads.map { lead in captureAlone(lead, route: route, log: log) } }
    let deadline = leads.map(\.deadline).min() ?? .now
    do throws(Problem) {
      let arguments = leads.map { $0.argument(route: route) }
      let replies = try call(.captureLeads, .array(arguments), deadline: deadline, log: log).array ?? []
      return leads.indices.map { index in
        Result { () throws(Problem) in try Captured(reading: index < replies.count ? replies[index] : .null) }
      }
    } catch {
      // Only of what the database refused is it certain that nothing was stored.
      guard [.internalError, .busy, .notMigrated].contains(error.kind) else {
        return leads.map { _ in .failure(error) }
      }
      return oneByOne(leads, route: route, log: log)
    }
  }

  /// Where somebody holds what a lead needs, others that need the same do not wait for it again.
  private func oneByOne(_ leads: [CheckedLead], route: String, log: Log) -> [Result<Captured, Problem>] {
    var refused: [(needs: Set<String>, problem: Problem)] = []
    return leads.map { lead in
      let needs = lead.needs
      if let other = refused.first(where: { !$0.needs.isDisjoint(with: needs) }) { return .failure(other.problem) }
      let outcome = captureAlone(lead, route: route, log: log)
      if case .failure(let problem) = outcome, problem.kind == .busy { refused.append((needs, problem)) }
      return outcome
    }
  }

  private func captureAlone(_ lead: CheckedLead, route: String, log: Log) -> Result<Captured, Problem> {
    let log = log.with("requestId", lead.requestID)
    return Result { () throws(Problem) in
      try Captured(reading: try call(.captureLead, lead.argument(route: route), deadline: lead.deadline, log: log))
    }
  }
}

extension Captured {
  /// Reads what capture_lead returned.
  fileprivate init(reading reply: JSON) throws(Problem) {
    guard let outcome = reply["outcome"]?.string.flatMap(Outcome.init) else {
      throw Problem(.internalError, "the database gave an answer of another version")
    }
    self.init(
      outcome: outcome, isNew: reply["created"]?.bool == true, id: reply["id"]?.string ?? "",
      status: reply["status"]?.string ?? "", createdAt: reply["createdAt"]?.string ?? "",
      updatedAt: reply["updatedAt"]?.string ?? "", eventID: reply["eventId"]?.string)
  }
}

extension CheckedLead {
  /// What two leads may both need.
  fileprivate var needs: Set<String> {
    Set(
      [lead.idempotencyKey, lead.conversationID?.text, lead.customerPhone?.e164, lead.customerEmail?.text].compactMap {
        $0
      })
  }

  fileprivate func argument(route: String) -> JSON { lead.argument(route: route, content: content, due: due) }
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
