import Deliveries
import Wire

/// What a claim has leased.
package struct Claimed: Sendable {
  /// Documents that `Delivery` reads, as they are passed on.
  package let deliveries: [JSON]
  /// Events for which no channel is configured.
  package let unroutedEvents: Int
  /// When the next delivery falls due, in ISO 8601; nil where none does.
  package let nextDueAt: String?
}

/// What was written down.
package struct Recorded: Sendable {
  /// How an event stands after an outcome of one of its deliveries.
  package struct Event: Sendable {
    package let id: String
    /// Whether no delivery of it waits for its first attempt or is being sent.
    package let isSettled: Bool
    /// Whether it has become processed.
    package let isClosed: Bool
    /// The channels by which it has been sent.
    package let sent: [String]
  }

  /// The deliveries that were still ours.
  package let deliveries: Set<String>
  package let events: [Event]
}

extension Database {
  /// Plans what is unplanned and leases what is due: at most `limit` deliveries for each channel entry. `isComplete` says
  /// that the entries are all there are: what waits for others is then taken care of. `fingerprints`, a text for each
  /// channel, end a channel's pause where they have changed.
  package func claim(
    worker: String, isComplete: Bool, version: String, leaseSeconds: Int, unknown: UnknownOutcome, fingerprints: JSON?,
    recipients: [(recipient: Recipient, limit: Int)], deadline: Instant
  ) throws(StoreFailure) -> Claimed {
    let entries = recipients.map { $0.recipient.document.setting("limit", JSON($0.limit)) }
    let question: JSON = [
      "worker": .string(worker), "isComplete": .bool(isComplete), "version": .string(version),
      "leaseSeconds": JSON(leaseSeconds), "unknownOutcome": .string(unknown.rawValue), "channels": .array(entries),
      "fingerprints": fingerprints ?? .null, "horizonSeconds": JSON(RetrySchedule.horizon),
    ]
    let reply = try call(.claimDeliveries, question.withoutNulls, deadline: deadline)
    return Claimed(
      deliveries: reply["deliveries"]?.array ?? [], unroutedEvents: reply["unrouted"]?.integer ?? 0,
      nextDueAt: reply["nextDueAt"]?.string)
  }

  /// Gives back what was claimed and not begun, and says how many deliveries that were. `question` as
  /// release_deliveries takes it.
  package func release(_ question: JSON, deadline: Instant) throws(StoreFailure) -> Int {
    try call(.releaseDeliveries, question, deadline: deadline)["released"]?.integer ?? 0
  }

  /// What became of a delivery that was to begin.
  package enum Beginning: Sendable {
    case begun
    /// Its channel was paused after it was claimed: it has been given back.
    case paused
    /// Its channel's turn comes later: it has been given back, and is due then.
    case early
    /// The lease has passed to somebody else.
    case lost
  }

  /// Marks claimed deliveries as being sent. Of one that is named twice only one begins, the one with the newest fence.
  /// `paces` gives a channel the least time between two messages, in milliseconds.
  package func begin(
    _ deliveries: [Delivery], leaseSeconds: Int, paces: [String: Int], deadline: Instant
  ) throws(StoreFailure) -> [Beginning] {
    let claims = deliveries.map { ["id": .string($0.id.text), "fence": JSON($0.fence)] as JSON }
    let concerned = paces.filter { channel, _ in deliveries.contains { $0.channel == channel } }
    let question: JSON = [
      "leaseSeconds": JSON(leaseSeconds), "deliveries": .array(claims),
      "paces": concerned.isEmpty
        ? .null : .object(concerned.sorted { $0.key < $1.key }.map { .init($0.key, JSON($0.value)) }),
    ]
    let reply = try call(.beginDeliveries, question.withoutNulls, deadline: deadline)
    var begun = Set((reply["begun"]?.array ?? []).compactMap { $0["id"]?.string })
    let paused = Set((reply["paused"]?.array ?? []).compactMap(\.string))
    let early = Set((reply["early"]?.array ?? []).compactMap(\.string))
    let newest = Dictionary(deliveries.map { ($0.id.text, $0.fence) }, uniquingKeysWith: max)
    return deliveries.map { delivery in
      let id = delivery.id.text
      guard newest[id] == delivery.fence else { return .lost }
      if begun.remove(id) != nil { return .begun }
      return paused.contains(id) ? .paused : early.contains(id) ? .early : .lost
    }
  }

  /// What happened to a delivery, and what follows from it.
  package struct Record: Sendable {
    let delivery: Delivery
    let outcome: DeliveryOutcome
    let verdict: RetrySchedule.Verdict
    let reason: String?
    let finishedAt: Instant

    /// - Parameter reason: what the delivery says of itself; the attempt keeps the outcome's own.
    package init(
      _ delivery: Delivery, _ outcome: DeliveryOutcome, _ verdict: RetrySchedule.Verdict, reason: String?,
      at time: Instant
    ) {
      self.delivery = delivery
      self.outcome = outcome
      self.verdict = verdict
      self.reason = reason
      finishedAt = time
    }

    fileprivate var argument: JSON {
      let facts: JSON = [
        "id": .string(delivery.id.text), "fence": JSON(delivery.fence), "status": .string(verdict.status),
        "burned": .bool(verdict.burnsAttempt), "retryInSeconds": JSON(verdict.retryInSeconds),
        "excerpt": JSON(outcome.reason), "finishedAt": .string(finishedAt.iso8601),
      ]
      let merged = (outcome.document.members ?? []).reduce(facts) { $0.setting($1.key, $1.value) }
      return merged.setting("reason", JSON(reason))
    }
  }

  /// Writes records down.
  package func record(_ records: [Record], deadline: Instant) throws(StoreFailure) -> Recorded {
    let reply = try call(.recordOutcomes, ["outcomes": .array(records.map(\.argument))], deadline: deadline)
    let events = (reply["events"]?.array ?? []).map { event in
      Recorded.Event(
        id: event["eventId"]?.string ?? "", isSettled: event["settled"]?.bool == true,
        isClosed: event["closed"]?.bool == true, sent: (event["sent"]?.array ?? []).compactMap(\.string))
    }
    return Recorded(deliveries: Set((reply["recorded"]?.array ?? []).compactMap(\.string)), events: events)
  }
}
