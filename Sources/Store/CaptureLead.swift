import Leads
import Wire

/// The result of capturing a lead.
package struct Captured: Sendable, Equatable {
  package enum Outcome: String, Sendable {
    case created, continued, replayed
    /// The idempotency key was used before with different content.
    case mismatch
  }

  package let outcome: Outcome
  /// True if the request, or the one that it repeats, created the conversation.
  package let isNew: Bool
  package let id: String
  package let status: String
  package let createdAt: String
  package let updatedAt: String
  /// Nil if the event tables do not exist, or if the request causes no event.
  package let eventID: String?
  /// The old and the new score of a continued conversation whose score has risen: `30 (cold) to 95 (hot)`.
  package let rise: String?
  /// The status of a closed conversation that this request has reopened.
  package let reopenedFrom: String?
  /// The fields of which not all was stored, because the conversation has as much as it can hold.
  package let full: [String]
  /// True if a submission to a conversation that was kept aside as spam brought it back.
  package let wasReleased: Bool

  /// True if the conversation is kept aside as a robot's.
  package var isSpam: Bool { status == "spam" }
  /// The status as the sender is told: a robot must not learn that it was caught.
  package var shownStatus: String { isSpam ? "new" : status }
}

/// A lead with what is needed to store it.
package struct CaptureRequest: Sendable {
  package let lead: Lead
  /// Whether it is a robot's.
  let verdict: SpamRule.Verdict
  /// The body as sent. It must be the same in all requests with one idempotency key.
  let content: JSON
  /// The id of the request, for the log lines of its notifications.
  let requestID: String
  /// When the first response is due, by quality.
  let responseDeadlines: [String: Instant]
  /// The qualities into which a rise is announced.
  let announced: [String]
  /// When the client stops waiting for the reply.
  package let deadline: Instant
  /// The client's address. Identical content from one client within 30 seconds is a repeat. Nil if it is unknown; then
  /// only an idempotency key identifies a repeat.
  let client: String?

  package init(
    _ lead: Lead, verdict: SpamRule.Verdict, content: JSON, client: String?, requestID: String,
    responseDeadlines: [String: Instant],
    announced: [String], deadline: Instant
  ) {
    self.lead = lead
    self.verdict = verdict
    self.content = content
    self.client = client
    self.requestID = requestID
    self.responseDeadlines = responseDeadlines
    self.announced = announced
    self.deadline = deadline
  }
}

extension Database {
  /// Stores leads, each with its messages, event and timeline entry, in one transaction. If that transaction is
  /// refused, each lead is stored in its own. Leads with the same key or conversation are stored in order.
  /// - Parameter route: the scope of the idempotency keys.
  /// - Returns: a result for each request, and the failure of the common transaction, if it failed.
  package func capture(
    _ requests: [CaptureRequest], route: String
  ) -> (results: [Result<Captured, StoreFailure>], refusal: StoreFailure?) {
    guard requests.count > 1 else { return (requests.map { captureAlone($0, route: route) }, nil) }
    let deadline = requests.map(\.deadline).min() ?? .steady
    do throws(StoreFailure) {
      let arguments = requests.map { $0.argument(route: route) }
      let replies = try call(.captureLeads, .array(arguments), deadline: deadline).array ?? []
      let results = requests.indices.map { index in
        Result { () throws(StoreFailure) in try Captured(reading: index < replies.count ? replies[index] : .null) }
      }
      return (results, nil)
    } catch {
      // Only for a refusal is it certain that nothing was stored.
      switch error.kind {
      case .refused, .locked, .notMigrated, .answered: break
      case .unavailable, .noFreeSession, .tooSlow: return (requests.map { _ in .failure(error) }, error)
      }
      return (captureOneByOne(requests, route: route), error)
    }
  }

  /// Stores each lead in its own transaction. If one times out on a lock, later leads that need the same rows fail at
  /// once.
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
  /// Reads the result of `capture_lead`.
  fileprivate init(reading reply: JSON) throws(StoreFailure) {
    guard let outcome = reply["outcome"]?.string.flatMap(Outcome.init) else {
      throw .noAnswer
    }
    self.init(
      outcome: outcome, isNew: reply["created"]?.bool == true, id: reply["id"]?.string ?? "",
      status: reply["status"]?.string ?? "", createdAt: reply["createdAt"]?.string ?? "",
      updatedAt: reply["updatedAt"]?.string ?? "", eventID: reply["eventId"]?.string,
      rise: reply["rise"].map { rise in
        let text = { (score: String, quality: String) in
          "\(rise[score]?.integer ?? 0) (\(rise[quality]?.string ?? ""))"
        }
        return "\(text("scoreBefore", "qualityBefore")) to \(text("score", "quality"))"
      }, reopenedFrom: reply["reopenedFrom"]?.string,
      full: (reply["full"]?.array ?? []).compactMap(\.string), wasReleased: reply["released"]?.bool == true)
  }
}

extension CaptureRequest {
  /// The keys whose rows the lead locks; leads that share one may block each other.
  fileprivate var needs: Set<String> {
    Set(
      [lead.idempotencyKey, lead.conversationID?.text, lead.customerPhone?.e164, lead.customerEmail?.text].compactMap {
        $0
      })
  }

  fileprivate func argument(route: String) -> JSON {
    let argument = lead.argument(route: route, content: content, client: client, due: responseDeadlines)
      .setting("requestId", .string(requestID)).setting("notifyQualified", .array(announced.map(JSON.string)))
    if !verdict.signs.isEmpty { return argument.setting("spam", .array(verdict.signs.map { .string($0.rawValue) })) }
    return verdict.isProven ? argument.setting("hasToken", true) : argument
  }
}

extension JSON {
  /// A new id of a row, if the lead turns out to be new.
  fileprivate static var newID: JSON { .string(UUIDText.ordered().text) }
}

private func number(_ value: Double?) -> JSON {
  value.flatMap { $0.isFinite ? .number("\($0)") : nil } ?? .null
}

extension Lead {
  /// Returns the argument of `capture_lead`.
  fileprivate func argument(route: String, content: JSON, client: String?, due: [String: Instant]) -> JSON {
    let name = idempotencyKey.map { JSON.Member("key", .string($0)) } ?? client.map { .init("client", .string($0)) }
    let idempotency = name.map { JSON.object([$0, .init("content", content.removing("idempotencyKey"))]) }
    return [
      "route": .string(route), "receivedAt": .string(receivedAt.iso8601), "conversationId": JSON(conversationID?.text),
      "ids": ["conversation": .newID, "customer": .newID, "event": .newID, "timeline": .newID],
      "source": .string(source), "idempotency": idempotency ?? .null,
      "lead": [
        "customerName": .string(customerName), "customerPhone": JSON(customerPhone?.e164),
        "customerEmail": JSON(customerEmail?.text), "intent": JSON(intent), "budget": JSON(budget),
        "propertyType": JSON(propertyType), "preferredArea": JSON(preferredArea), "leadScore": JSON(score.points),
        "leadQuality": .string(score.quality), "leadScoreBreakdown": score.breakdown,
        "tags": .array(tags.map(JSON.string)), "notes": JSON(notes), "metadata": metadata ?? .null,
        "deviceInfo": metadata?["device"] ?? .null, "startTime": JSON(messages.map(\.time).min()?.iso8601),
        "endTime": JSON(messages.map(\.time).max()?.iso8601), "durationMinutes": JSON(durationMinutes),
        "slaDeadline": JSON(due[score.quality]?.iso8601),
        "slaDeadlines": .object(due.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value.iso8601)) }),
        "budgetAmount": number(amount?.value), "budgetMin": number(amount?.min),
        "budgetMax": number(amount?.max), "budgetCurrency": JSON(amount?.currency),
        "budgetPeriod": JSON(amount?.period?.rawValue),
      ],
      "messages": .array(
        messages.map {
          [
            "id": .string($0.id), "rowId": .string(UUIDText($0.id)?.text ?? UUIDText.ordered().text),
            "sender": .string($0.sender), "text": .string($0.text), "type": .string($0.type),
            "timestamp": .string($0.time.iso8601), "metadata": $0.metadata ?? .null,
          ]
        }),
      "event": ["type": "lead.created", "payload": eventPayload],
      "timeline": ["title": "Lead Created", "description": .string("Captured from \(source)")],
    ]
  }
}
