import Deliveries
import Leads
import Wire

/// Explains in one sentence for the operator why a delivery has not been sent and when it will be. The facts come from
/// `show_delivery`. The sentence names no recipient.
package struct DeliveryExplanation: Sendable {
  private let facts: JSON
  private let clock: LocalClock

  /// - Parameter clock: the clock in whose time zone times are shown.
  package init(_ facts: JSON, clock: LocalClock) {
    self.facts = facts
    self.clock = clock
  }

  package var sentence: String {
    facts["kind"]?.string == "event" ? ofEvent : ofDelivery
  }

  // MARK: - An event

  private var ofEvent: String {
    let event = facts["event"] ?? [:]
    let type = text(event, "type") ?? "It"
    let deliveries = (facts["deliveries"]?.array ?? []).compactMap(\.string)
    if event["notifies"]?.bool == false, deliveries.isEmpty {
      return "\(type) sends no notification, so it has no delivery."
    }
    if text(event, "plannedAt") == nil {
      return "Its deliveries are not planned yet; \(claimer("it is waiting for its turn"))."
    }
    if deliveries.isEmpty {
      return
        "No channel was configured for \(type) when it was planned, so it has no delivery; `leadpipe event replay --id "
        + "\(text(event, "id") ?? "ID")` plans it again."
    }
    return "This is an event, not a delivery. Use the id of one of its deliveries: \(list(deliveries))."
  }

  // MARK: - A delivery

  private var delivery: JSON { facts["delivery"] ?? [:] }
  private var id: String { text(delivery, "id") ?? "ID" }
  private var isReceipt: Bool { text(facts["event"] ?? [:], "type") == Receipt.eventType }
  private var channel: String { text(delivery, "channel") ?? "its channel" }
  private var tries: Int { delivery["tries"]?.integer ?? 0 }
  /// The outcome of the last attempt, in brackets; empty if there was none.
  private var why: String {
    let parts = [text(delivery, "class"), text(delivery, "reason")].compactMap { $0 }
    return parts.isEmpty ? "" : " (\(parts.joined(separator: ": ")))"
  }

  private var ofDelivery: String {
    switch text(delivery, "state") {
    case "sent", "delivered":
      return "It was sent via \(channel) at \(time(delivery, "sentAt") ?? "an unknown time")."
    case "sending": return sending
    case "claimed":
      // A claimed delivery does not begin while its channel is paused.
      return pause ?? "Worker \(holder) has claimed it and will send it in turn; if it does not begin by "
        + "\(time(delivery, "leaseUntil") ?? "then"), it returns to the queue without using an attempt."
    case "parked" where isReceipt: return "It is unknown whether it arrived; a receipt is not sent again."
    case "parked":
      return "It is unknown whether it arrived, so it is parked: `leadpipe delivery retry \(id)` sends it again."
    case "given-up" where tries == 0 && text(delivery, "reason") != nil:
      return "It was not sent: \(text(delivery, "reason") ?? "")."
    case "given-up" where isReceipt:
      return "It was given up after \(count(tries, "attempt", "attempts"))\(why)."
    case "given-up":
      return "It was given up after \(count(tries, "attempt", "attempts"))\(why): "
        + "`leadpipe delivery retry \(id)` sends it again."
    default: return unconfigured ?? pause ?? probe ?? waiting
    }
  }

  private var holder: String { text(delivery, "leasedBy") ?? "(unknown)" }

  private var sending: String {
    guard let until = time(delivery, "leaseUntil") else { return "It is being sent." }
    let isOver = instant(delivery, "leaseUntil").map { $0 <= now } == true
    return isOver
      ? "Worker \(holder) was sending it and its lease ended at \(until), so it is unknown whether it arrived; "
        + claimer("the next claim settles that") + "."
      : "Worker \(holder) is sending it now; if the worker does not report by \(until), the outcome is unknown."
  }

  private var state: JSON { facts["channel"] ?? .null }
  /// The reason for the channel's pause, in brackets.
  private var reason: String { text(state, "reason").map { " (\($0))" } ?? "" }

  /// Explains the channel's pause. Nil if the channel is not paused.
  private var pause: String? {
    guard state["isPaused"]?.bool == true, let until = instant(state, "pausedUntil") else { return nil }
    let way = "`leadpipe channel resume \(channel)` ends the pause at once"
    return text(state, "class") == "config"
      ? "\(channel) is misconfigured\(reason): after \(time(until)) one delivery tests it, and if that succeeds this "
        + "one follows in turn; \(way)."
      : "\(channel) asked Leadpipe to wait\(reason): this delivery is sent in turn after "
        + "\(time(max(until, instant(delivery, "nextAttemptAt") ?? until))); \(way)."
  }

  /// Explains which delivery tests a misconfigured channel after its pause. Nil if the channel is not being tested.
  private var probe: String? {
    guard let streak = state["failStreak"]?.integer, streak > 0 else { return nil }
    let probe = text(state, "probe")
    return probe == nil || probe == id
      ? "\(channel) was misconfigured\(reason), and its next claim takes one delivery to test it; "
        + claimer("that may be this one") + "."
      : "\(channel) was misconfigured\(reason): delivery \(probe ?? "") tests it, and this one follows if it succeeds."
  }

  /// Explains that the recipient is not configured. Nil if it is.
  private var unconfigured: String? {
    text(delivery, "reason")?.hasPrefix("This recipient is not configured") == true
      ? "Its recipient is not configured: it waits until the recipient is configured, or until \(channel) has only one "
        + "recipient." : nil
  }

  private var waiting: String {
    let turn = claimer("deliveries that were due earlier are sent first")
    guard let next = instant(delivery, "nextAttemptAt"), text(delivery, "state") == "waiting" else {
      return "It has waited for its first attempt since \(time(delivery, "createdAt") ?? "its event"); \(turn)."
    }
    return "Attempt \(tries) failed\(why); attempt \(tries + 1) is due"
      + (next <= now ? "; \(turn)." : " at \(time(next)).")
  }

  // MARK: - Parts

  private var now: Instant { instant(facts, "now") ?? .now }

  /// Returns `next`, or a note that no worker is running: a running worker is seen at least every few seconds.
  private func claimer(_ next: String) -> String {
    guard let seen = instant(facts, "workerLastSeen") else {
      return "no worker has ever been seen: start `leadpipe worker`"
    }
    return now.seconds(since: seen) < 60
      ? next : "no worker has been seen since \(time(seen)): start `leadpipe worker`"
  }

  private func text(_ document: JSON, _ key: String) -> String? { document[key]?.string }
  private func instant(_ document: JSON, _ key: String) -> Instant? {
    text(document, key).flatMap(Instant.init(iso8601:))
  }
  private func time(_ document: JSON, _ key: String) -> String? { instant(document, key).map { time($0) } }
  /// Shows seconds if the time is less than an hour away.
  private func time(_ moment: Instant) -> String {
    "\(clock.text(moment, withSeconds: abs(moment.seconds(since: now)) < 3600)) (\(clock.zone))"
  }
  private func count(_ number: Int, _ one: String, _ many: String) -> String {
    "\(number) \(number == 1 ? one : many)"
  }
  private func list(_ items: [String]) -> String { items.joined(separator: ", ") }
}
