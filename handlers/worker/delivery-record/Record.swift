import Contract
import Deliveries
import Store
import StoreAccess
import Wire

/// Applies the retry schedule to outcomes and stores them. A delivery without an outcome was handled by no notifier, so
/// it was not sent: it is stored as failed, with that reason.
func record(
  _ deliveries: [Delivery], unknown: UnknownOutcome, at now: Instant, in database: Database, deadline: Instant,
  log: Log
) throws(Problem) -> [JSON] {
  let records = deliveries.map { delivery in
    let outcome =
      delivery.outcome ?? DeliveryOutcome(.config, reason: "no step of the pipeline sends to this channel")
    // A visitor gets a receipt once or not at all.
    let parks = unknown.parks(delivery.channel) || delivery.isReceipt
    let verdict = RetrySchedule.verdict(
      on: outcome, attempt: delivery.attempt, eventAge: now.seconds(since: delivery.retryFrom),
      chance: .random(in: 0...1), parksUnknown: parks)
    let isParked = outcome.class == .unknown && parks
    let reason =
      !isParked
      ? outcome.reason
      : delivery.isReceipt ? UnknownOutcome.reasonOfReceipt : UnknownOutcome.reason(parked: delivery.id.text)
    return Database.Record(delivery, outcome, verdict, reason: reason, at: now)
  }
  let recorded = try database.attempt(.recordOutcomes, log: log) { () throws(StoreFailure) in
    try database.record(records, deadline: deadline)
  }
  let byEvent = Dictionary(grouping: deliveries) { $0.document["eventId"]?.string ?? "" }
  for pause in recorded.pauses {
    let cause = pause.reason ?? "no reason was recorded"
    let advice = pause.isConfig ? "; after correcting the setting: leadpipe channel resume \(pause.channel)" : ""
    log.warn("The channel \(pause.channel) is paused until \(pause.until): \(cause)\(advice)")
  }
  for event in recorded.events { report(event, after: byEvent[event.id] ?? [], to: log) }
  return deliveries.map { delivery in
    let isRecorded = recorded.deliveries.contains(delivery.id.text)
    if !isRecorded {
      delivery.log(log).warn(
        "The outcome of delivery \(delivery.id.text) was not recorded: another worker has claimed it")
    }
    return delivery.document.setting("recorded", .bool(isRecorded))
  }
}

/// Writes the log lines that operators search for: when no delivery of the event is waiting for its first attempt, and
/// again when a later attempt changes the result.
func report(_ event: Recorded.Event, after deliveries: [Delivery], to log: Log) {
  let isNews = event.isClosed || deliveries.contains { $0.attempt == 1 || $0.outcomeClass == .delivered }
  guard event.isSettled, isNews else { return }
  let conversation = deliveries.lazy.compactMap(\.conversationID).first
  let ofEvent = log.with("event", event.id)
  let about = conversation.map { ofEvent.with("conversation", $0.text) } ?? ofEvent
  let log = deliveries.first?.log(about) ?? about
  // Operators watch the lines below, which are about messages for the team.
  if deliveries.contains(where: \.isReceipt) {
    return event.sent.isEmpty ? log.warn("The receipt was not sent") : log.info("Receipt sent")
  }
  if event.sent.isEmpty {
    log.write(.allChannelsFailed)
  } else {
    log.write(.notificationsSent, event.sent.joined(separator: ", "))
  }
}
