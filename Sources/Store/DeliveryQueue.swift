import Deliveries
import Wire

/// The result of a claim.
package struct Claimed: Sendable {
  /// The leased deliveries, as documents that `Delivery` reads.
  package let deliveries: [JSON]
  /// The number of events for which no channel is configured.
  package let unroutedEvents: Int
  /// The time until the next delivery is due, in milliseconds; nil if none is.
  package let nextDueInMs: Int?
  /// The number of leads that were stored without an event and have not been announced; nil while events exist.
  package let unsentLeads: Int?
}

/// The result of recording outcomes.
package struct Recorded: Sendable {
  /// The state of an event after an outcome of one of its deliveries.
  package struct Event: Sendable {
    package let id: String
    /// True if no delivery of it is waiting for its first attempt or being sent.
    package let isSettled: Bool
    /// True if this record has marked it as processed.
    package let isClosed: Bool
    /// The channels through which it has been sent.
    package let sent: [String]
  }

  /// A pause of a channel that these outcomes have begun.
  package struct Pause: Sendable {
    package let channel: String
    package let until: String
    package let reason: String?
    /// True if a setting is the cause, false if the provider asked to wait.
    package let isConfig: Bool
  }

  /// The ids of the deliveries whose fence was still current; only these were recorded.
  package let deliveries: Set<String>
  package let events: [Event]
  package let pauses: [Pause]
}

extension Database {
  /// Plans the deliveries of new events and leases due ones: at most `limit` for each recipient. `isComplete`: the list
  /// contains every recipient, so deliveries that wait for a recipient outside it are resolved. `fingerprints`: a
  /// string for each channel; if it has changed, the channel's pause ends. `isDirect`: leads that were stored without
  /// an event are announced too.
  package func claim(
    worker: String, isComplete: Bool, version: String, leaseSeconds: Int, unknown: UnknownOutcome, isDirect: Bool,
    fingerprints: JSON?,
    recipients: [(recipient: Recipient, limit: Int)], deadline: Instant
  ) throws(StoreFailure) -> Claimed {
    let entries = recipients.map { $0.recipient.document.setting("limit", JSON($0.limit)) }
    let argument: JSON = [
      "worker": .string(worker), "isComplete": .bool(isComplete), "version": .string(version),
      "leaseSeconds": JSON(leaseSeconds), "unknownOutcome": .string(unknown.rawValue), "channels": .array(entries),
      "direct": isDirect ? true : .null, "fingerprints": fingerprints ?? .null,
      "horizonSeconds": JSON(RetrySchedule.horizon),
    ]
    let reply = try call(.claimDeliveries, argument.withoutNulls, deadline: deadline)
    return Claimed(
      deliveries: reply["deliveries"]?.array ?? [], unroutedEvents: reply["unrouted"]?.integer ?? 0,
      nextDueInMs: reply["nextDueInMs"]?.integer,
      unsentLeads: reply["eventsAreOff"]?.bool == true ? reply["unsent"]?.integer ?? 0 : nil)
  }

  /// Returns claimed deliveries that were not begun to the queue. `argument` is the argument of `release_deliveries`.
  /// - Returns: the number of deliveries.
  package func release(_ argument: JSON, deadline: Instant) throws(StoreFailure) -> Int {
    try call(.releaseDeliveries, argument, deadline: deadline)["released"]?.integer ?? 0
  }

  /// The result of beginning a delivery.
  package enum Beginning: Sendable {
    case begun
    /// Its channel was paused after it was claimed. It was returned to the queue.
    case paused
    /// Its channel's next message is due later. It was returned to the queue and is due then.
    case early
    /// Its lease has passed to another worker.
    case lost
  }

  /// Marks claimed deliveries as being sent. If a delivery occurs twice, only the one with the newest fence begins.
  /// `paces` contains the minimum time between two messages of a channel, in milliseconds.
  package func begin(
    _ deliveries: [Delivery], leaseSeconds: Int, paces: [String: Int], deadline: Instant
  ) throws(StoreFailure) -> [Beginning] {
    let claims = deliveries.map { ["id": .string($0.id.text), "fence": JSON($0.fence)] as JSON }
    let concerned = paces.filter { channel, _ in deliveries.contains { $0.channel == channel } }
    let argument: JSON = [
      "leaseSeconds": JSON(leaseSeconds), "deliveries": .array(claims),
      "paces": concerned.isEmpty
        ? .null : .object(concerned.sorted { $0.key < $1.key }.map { .init($0.key, JSON($0.value)) }),
    ]
    let reply = try call(.beginDeliveries, argument.withoutNulls, deadline: deadline)
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

  /// The outcome of an attempt, and what follows from it.
  package struct Record: Sendable {
    let delivery: Delivery
    let outcome: DeliveryOutcome
    let verdict: RetrySchedule.Verdict
    let reason: String?
    let finishedAt: Instant

    /// - Parameter reason: stored with the delivery; the attempt keeps the outcome's own reason.
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

  /// Records outcomes.
  package func record(_ records: [Record], deadline: Instant) throws(StoreFailure) -> Recorded {
    let reply = try call(.recordOutcomes, ["outcomes": .array(records.map(\.argument))], deadline: deadline)
    let events = (reply["events"]?.array ?? []).map { event in
      Recorded.Event(
        id: event["eventId"]?.string ?? "", isSettled: event["settled"]?.bool == true,
        isClosed: event["closed"]?.bool == true, sent: (event["sent"]?.array ?? []).compactMap(\.string))
    }
    let pauses = (reply["pauses"]?.array ?? []).map { pause in
      Recorded.Pause(
        channel: pause["channel"]?.string ?? "", until: pause["until"]?.string ?? "", reason: pause["reason"]?.string,
        isConfig: pause["class"]?.string == "config")
    }
    return Recorded(
      deliveries: Set((reply["recorded"]?.array ?? []).compactMap(\.string)), events: events, pauses: pauses)
  }
}
