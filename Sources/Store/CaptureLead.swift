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
}

/// A lead with what storing it needs.
package struct CaptureRequest: Sendable {
  package let lead: Lead
  /// The body as sent; two requests with one idempotency key must agree in it.
  let content: JSON
  /// When a first response is due.
  let responseDeadline: Instant
  /// When nobody waits for the reply any more.
  let deadline: Instant

  package init(_ lead: Lead, content: JSON, responseDeadline: Instant, deadline: Instant) {
    self.lead = lead
    self.content = content
    self.responseDeadline = responseDeadline
    self.deadline = deadline
  }
}

extension Database {
  /// Stores leads, each with its messages, event and timeline entry: all in one transaction, or where that cannot be, each in
  /// one of its own. Leads with the same key or conversation are stored in their order.
  /// - Parameter route: the scope of the idempotency keys.
  /// - Returns: a result for each request, and what all together were refused with, if they were.
  package func capture(
    _ requests: [CaptureRequest], route: String
  ) -> (results: [Result<Captured, StoreFailure>], refusal: StoreFailure?) {
    guard requests.count > 1 else { return (requests.map { captureAlone($0, route: route) }, nil) }
    let deadline = requests.map(\.deadline).min() ?? .now
    do throws(StoreFailure) {
      let arguments = requests.map { $0.argument(route: route) }
      let replies = try call(.captureLeads, .array(arguments), deadline: deadline).array ?? []
      let results = requests.indices.map { index in
        Result { () throws(StoreFailure) in try Captured(reading: index < replies.count ? replies[index] : .null) }
      }
      return (results, nil)
    } catch {
      // Only of what the database refused is it certain that nothing was stored.
      guard [.refused, .locked, .notMigrated].contains(error.kind) else {
        return (requests.map { _ in .failure(error) }, error)
      }
      return (captureOneByOne(requests, route: route), error)
    }
  }

  /// Where another transaction holds what a lead needs, others that need the same do not wait for it again.
  private func captureOneByOne(_ requests: [CaptureRequest], route: String) -> [Result<Captured, StoreFailure>] {
    var refused: [(needs: Set<String>, failure: StoreFailure)] = []
    return requests.map { request in
      let needs = request.needs
      if let other = refused.first(where: { !$0.needs.isDisjoint(with: needs) }) { return .failure(other.failure) }
      let outcome = captureAlone(request, route: route)
      if case .failure(let failure) = outcome, failure.kind == .locked { refused.append((needs, failure)) }
      return outcome
    }
  }

  private func captureAlone(_ request: CaptureRequest, route: String) -> Result<Captured, StoreFailure> {
    Result { () throws(StoreFailure) in
      try Captured(reading: try call(.captureLead, request.argument(route: route), deadline: request.deadline))
    }
  }
}

extension Captured {
  /// Reads what capture_lead returned.
  fileprivate init(reading reply: JSON) throws(StoreFailure) {
    guard let outcome = reply["outcome"]?.string.flatMap(Outcome.init) else {
      throw .noAnswer
    }
    self.init(
      outcome: outcome, isNew: reply["created"]?.bool == true, id: reply["id"]?.string ?? "",
      status: reply["status"]?.string ?? "", createdAt: reply["createdAt"]?.string ?? "",
      updatedAt: reply["updatedAt"]?.string ?? "", eventID: reply["eventId"]?.string)
  }
}

extension CaptureRequest {
  /// What two leads may both need.
  fileprivate var needs: Set<String> {
    Set(
      [lead.idempotencyKey, lead.conversationID?.text, lead.customerPhone?.e164, lead.customerEmail?.text].compactMap {
        $0
      })
  }

  fileprivate func argument(route: String) -> JSON {
    lead.argument(route: route, content: content, due: responseDeadline)
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
