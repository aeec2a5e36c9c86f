import Handler
import Leads
import Wire

extension Database {
  /// Plans what is unplanned and leases what is due: at most `limit` deliveries for each channel entry. `isComplete` says
  /// that the entries are all there are: what waits for others is then taken care of. `fingerprints`, a text for each
  /// channel, end a channel's pause where they have changed. The reply has the delivery lines under `deliveries`, and counts.
  package func claim(
    worker: String, isComplete: Bool, version: String, leaseSeconds: Int, unknown: UnknownOutcome, fingerprints: JSON?,
    channels: [(channel: Channel, limit: Int)], deadline: Instant, log: Log
  ) throws(Problem) -> JSON {
    let entries = channels.map { $0.channel.document.setting("limit", JSON($0.limit)) }
    let question: JSON = [
      "worker": .string(worker), "isComplete": .bool(isComplete), "version": .string(version),
      "leaseSeconds": JSON(leaseSeconds), "unknownOutcome": .string(unknown.rawValue), "channels": .array(entries),
      "fingerprints": fingerprints ?? .null,
    ]
    return try call(.claimDeliveries, question.withoutNulls, deadline: deadline, log: log)
  }

  /// Gives back what was claimed and not begun, and says how many deliveries that were. `question` as
  /// release_deliveries takes it.
  package func release(_ question: JSON, deadline: Instant, log: Log) throws(Problem) -> Int {
    try call(.releaseDeliveries, question, deadline: deadline, log: log)["released"]?.integer ?? 0
  }

  /// What became of a delivery that was to begin.
  package enum Beginning: Sendable {
    case begun
    /// Its channel was paused after it was claimed: it has been given back.
    case paused
    /// The lease has passed to somebody else.
    case lost
  }

  /// Marks a claimed delivery as being sent.
  package func begin(
    _ delivery: DeliveryLine, leaseSeconds: Int, deadline: Instant, log: Log
  ) throws(Problem) -> Beginning {
    let reply = try call(
      .beginDeliveries,
      [
        "leaseSeconds": JSON(leaseSeconds),
        "deliveries": [["id": .string(delivery.id.text), "fence": JSON(delivery.fence)]],
      ], deadline: deadline, log: log)
    if reply["begun"]?.array?.isEmpty == false { return .begun }
    return reply["paused"]?.array?.isEmpty == false ? .paused : .lost
  }

  /// Writes down what happened to a delivery and what follows from it. The reply says whether it was still ours, and how
  /// its event stands. `reason` is what the delivery says of itself; the try keeps the outcome's own.
  package func record(
    _ delivery: DeliveryLine, _ outcome: DeliveryOutcome, _ verdict: RetrySchedule.Verdict, reason: String?,
    finishedAt: Instant, deadline: Instant, log: Log
  ) throws(Problem) -> JSON {
    let facts: JSON = [
      "id": .string(delivery.id.text), "fence": JSON(delivery.fence), "status": .string(verdict.status),
      "burned": .bool(verdict.burnsAttempt), "retryInSeconds": JSON(verdict.retryInSeconds),
      "excerpt": JSON(outcome.reason), "finishedAt": .string(finishedAt.iso8601),
    ]
    let merged = (outcome.document.members ?? []).reduce(facts) { $0.setting($1.key, $1.value) }
    return try call(
      .recordOutcomes, ["outcomes": [merged.setting("reason", JSON(reason))]], deadline: deadline, log: log)
  }
}
