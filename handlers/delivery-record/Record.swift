import Handler
import Leads
import Store
import Wire

/// Puts the outcome through the retry schedule and into the database. A delivery that no notifier touched was not sent:
/// it stands as failed with that reason.
func record(
  _ delivery: DeliveryLine, unknown: UnknownOutcome, from request: Request, in database: Database, log: Log
) throws(Problem) -> JSON {
  let outcome =
    delivery.outcome ?? DeliveryOutcome(.config, reason: "no step of the pipeline sends to this channel")
  let parks = unknown.parks(delivery.channel)
  let verdict = RetrySchedule.verdict(
    on: outcome, attempt: delivery.attempt, eventAge: request.receivedAt.seconds(since: delivery.retryFrom),
    chance: .random(in: 0...1), parksUnknown: parks)
  return try database.record(
    delivery, outcome, verdict,
    reason: outcome.class == .unknown && parks ? UnknownOutcome.reason(parked: delivery.id.text) : outcome.reason,
    finishedAt: request.receivedAt, deadline: request.deadline ?? .now, log: log)
}

/// The lines that operators watch for: once no delivery of the event waits for its first try, and again when a later try
/// has changed the matter.
func tell(_ event: JSON, after delivery: DeliveryLine, to log: Log) {
  let isNews = delivery.attempt == 1 || delivery.outcome?.class == .delivered || event["closed"]?.bool == true
  guard event["settled"]?.bool == true, isNews else { return }
  let sent = (event["sent"]?.array ?? []).compactMap(\.string)
  let log = log.with("event", event["eventId"]?.string ?? "")
  if sent.isEmpty {
    log.warn("All notification channels failed")
  } else {
    log.info("Notifications sent via: \(sent.joined(separator: ", "))")
  }
}
