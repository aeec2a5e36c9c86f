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

  /// Marks a claimed delivery as being sent. False when the lease has passed to somebody else.
  package func begin(
    _ delivery: DeliveryLine, leaseSeconds: Int, deadline: Instant, log: Log
  ) throws(Problem) -> Bool {
    let reply = try call(
      .beginDeliveries,
      [
        "leaseSeconds": JSON(leaseSeconds),
        "deliveries": [["id": .string(delivery.id.text), "fence": JSON(delivery.fence)]],
      ], deadline: deadline, log: log)
    return reply["begun"]?.array?.isEmpty == false
  }

  /// Writes down what happened to a delivery and what follows from it. The reply says whether it was still ours, and how
  /// its event stands.
  package func record(
    _ delivery: DeliveryLine, _ outcome: DeliveryOutcome, _ verdict: RetrySchedule.Verdict, finishedAt: Instant,
    deadline: Instant, log: Log
  ) throws(Problem) -> JSON {
    let facts: JSON = [
      "id": .string(delivery.id.text), "fence": JSON(delivery.fence), "status": .string(verdict.status),
      "burned": .bool(verdict.burnsAttempt), "retryInSeconds": JSON(verdict.retryInSeconds),
      "excerpt": JSON(outcome.reason), "finishedAt": .string(finishedAt.iso8601),
    ]
    let merged = (outcome.document.members ?? []).reduce(facts) { $0.setting($1.key, $1.value) }
    return try call(.recordOutcomes, ["outcomes": [merged]], deadline: deadline, log: log)
  }
}
