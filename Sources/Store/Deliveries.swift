import Handler
import Leads
import Wire

extension Database {
  /// Plans what is unplanned and leases what is due: at most `limit` deliveries for each channel entry. `isComplete` says
  /// that the entries are all there are: what waits for others is then taken care of. The reply has the
  /// delivery lines under `deliveries`, and counts.
  package func claim(
    worker: String, isComplete: Bool, version: String, leaseSeconds: Int, channels: [(channel: Channel, limit: Int)],
    deadline: Instant,
    log: Log
  ) throws(Problem) -> JSON {
    let entries = channels.map { $0.channel.document.setting("limit", JSON($0.limit)) }
    return try call(
      .claimDeliveries,
      [
        "worker": .string(worker), "isComplete": .bool(isComplete), "version": .string(version),
        "leaseSeconds": JSON(leaseSeconds),
        "channels": .array(entries),
      ], deadline: deadline, log: log)
  }

  /// Marks claimed deliveries as being sent. Whether each is ours to send: the lease of the others has passed to somebody
  /// else. Of one that is named twice only one is, the one with the newest fence.
  package func begin(
    _ deliveries: [DeliveryLine], leaseSeconds: Int, deadline: Instant, log: Log
  ) throws(Problem) -> [Bool] {
    let claims = deliveries.map { ["id": .string($0.id.text), "fence": JSON($0.fence)] as JSON }
    let reply = try call(
      .beginDeliveries, ["leaseSeconds": JSON(leaseSeconds), "deliveries": .array(claims)], deadline: deadline, log: log
    )
    var begun = Set((reply["begun"]?.array ?? []).compactMap { $0["id"]?.string })
    let newest = Dictionary(deliveries.map { ($0.id.text, $0.fence) }, uniquingKeysWith: max)
    return deliveries.map { newest[$0.id.text] == $0.fence && begun.remove($0.id.text) != nil }
  }

  /// What happened to a delivery, and what follows from it.
  package struct Record: Sendable {
    let delivery: DeliveryLine
    let outcome: DeliveryOutcome
    let verdict: RetrySchedule.Verdict
    let finishedAt: Instant

    package init(
      _ delivery: DeliveryLine, _ outcome: DeliveryOutcome, _ verdict: RetrySchedule.Verdict, at time: Instant
    ) {
      self.delivery = delivery
      self.outcome = outcome
      self.verdict = verdict
      finishedAt = time
    }

    fileprivate var argument: JSON {
      let facts: JSON = [
        "id": .string(delivery.id.text), "fence": JSON(delivery.fence), "status": .string(verdict.status),
        "burned": .bool(verdict.burnsAttempt), "retryInSeconds": JSON(verdict.retryInSeconds),
        "excerpt": JSON(outcome.reason), "finishedAt": .string(finishedAt.iso8601),
      ]
      return (outcome.document.members ?? []).reduce(facts) { $0.setting($1.key, $1.value) }
    }
  }

  /// Writes records down. The reply says which were still ours, and how their events stand.
  package func record(_ records: [Record], deadline: Instant, log: Log) throws(Problem) -> JSON {
    try call(.recordOutcomes, ["outcomes": .array(records.map(\.argument))], deadline: deadline, log: log)
  }
}
