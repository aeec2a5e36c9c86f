import Leads
import Wire

/// Why a delivery has not been sent, and when it will be: one sentence for the operator, of the facts that
/// `show_delivery` gives. It names no recipient.
package struct DeliveryStanding: Sendable {
  private let facts: JSON
  private let clock: LocalClock

  /// - Parameter clock: which tells the times.
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
    if event["notifies"]?.bool == false, deliveries.isEmpty { return "\(type) notifies nobody, so it has no delivery." }
    if text(event, "plannedAt") == nil {
      return "Its deliveries are not planned yet; \(claimer("it waits for its turn"))."
    }
    if deliveries.isEmpty { return "No channel was configured when it was planned, so it has no delivery." }
    return "This is an event with \(deliveries.count) deliveries, ask for one of them: \(list(deliveries))."
  }

  // MARK: - A delivery

  private var delivery: JSON { facts["delivery"] ?? [:] }
  private var id: String { text(delivery, "id") ?? "ID" }
  private var channel: String { text(delivery, "channel") ?? "its channel" }
  private var tries: Int { delivery["tries"]?.integer ?? 0 }
  /// What the last try came to, in brackets; nothing where there was none.
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
      // What is claimed of a paused channel does not begin.
      return pause ?? "Worker \(holder) has claimed it and sends it when its turn comes; should it not begin by "
        + "\(time(delivery, "leaseUntil") ?? "then"), it waits for its turn again, at no cost."
    case "parked":
      return "Whether it arrived is unknown, and it is parked: `leadpipe delivery retry \(id)` sends it again."
    case "given-up":
      return
        "It was given up after \(count(tries, "try", "tries"))\(why): `leadpipe delivery retry \(id)` sends it again."
    default: return unconfigured ?? pause ?? probe ?? waiting
    }
  }

  private var holder: String { text(delivery, "leasedBy") ?? "somebody" }

  private var sending: String {
    guard let until = time(delivery, "leaseUntil") else { return "It is being sent." }
    let isOver = instant(delivery, "leaseUntil").map { $0 <= now } == true
    return isOver
      ? "Worker \(holder) was sending it and its lease ended at \(until), so whether it arrived is unknown; "
        + claimer("a claim settles that") + "."
      : "Worker \(holder) is sending it now; if it says nothing by \(until), the outcome is unknown."
  }

  private var state: JSON { facts["channel"] ?? .null }
  /// What the channel's pause is for, in brackets.
  private var reason: String { text(state, "reason").map { " (\($0))" } ?? "" }

  /// What keeps the whole channel for a time; nil where nothing does.
  private var pause: String? {
    guard state["isPaused"]?.bool == true, let until = instant(state, "pausedUntil") else { return nil }
    let way = "`leadpipe channel resume \(channel)` ends the pause at once"
    return text(state, "class") == "config"
      ? "\(channel) is set up wrongly\(reason): after \(time(until)) one delivery tries it out, and this one follows in "
        + "its turn when that goes well; \(way)."
      : "\(channel) asked us to wait\(reason): it is sent in its turn after "
        + "\(time(max(until, instant(delivery, "nextAttemptAt") ?? until))); \(way)."
  }

  /// After the pause of a channel that was set up wrongly: who tries it out; nil for a channel that is not tried out.
  private var probe: String? {
    guard let streak = state["failStreak"]?.integer, streak > 0 else { return nil }
    let probe = text(state, "probe")
    return probe == nil || probe == id
      ? "\(channel) was set up wrongly\(reason), and its next claim takes one delivery to try it out; \(claimer("that may be this one"))."
      : "\(channel) was set up wrongly\(reason): delivery \(probe ?? "") tries it out, and this one follows when that goes well."
  }

  /// That its recipient is in no setting; nil where it is.
  private var unconfigured: String? {
    text(delivery, "reason")?.hasPrefix("This recipient is not configured") == true
      ? "Its recipient is not configured: it waits until it is, or until \(channel) has one recipient only." : nil
  }

  private var waiting: String {
    let turn = claimer("those that were due before it come first")
    guard let next = instant(delivery, "nextAttemptAt"), text(delivery, "state") == "waiting" else {
      return "It has waited for its first try since \(time(delivery, "createdAt") ?? "its event"); \(turn)."
    }
    return "Try \(tries) failed\(why); try \(tries + 1) is due" + (next <= now ? "; \(turn)." : " at \(time(next)).")
  }

  // MARK: - Parts

  private var now: Instant { instant(facts, "now") ?? .now }

  /// What comes next, or that nobody is there to do it: a worker is heard of at least every few seconds.
  private func claimer(_ next: String) -> String {
    guard let seen = instant(facts, "workerLastSeen") else { return "no worker was ever seen: start `leadpipe worker`" }
    return now.seconds(since: seen) < 60
      ? next : "no worker was seen since \(time(seen)): start `leadpipe worker`"
  }

  private func text(_ document: JSON, _ key: String) -> String? { document[key]?.string }
  private func instant(_ document: JSON, _ key: String) -> Instant? {
    text(document, key).flatMap(Instant.init(iso8601:))
  }
  private func time(_ document: JSON, _ key: String) -> String? { instant(document, key).map { time($0) } }
  /// To the second where it is near.
  private func time(_ moment: Instant) -> String {
    "\(clock.text(moment, withSeconds: abs(moment.seconds(since: now)) < 3600)) (\(clock.zone))"
  }
  private func count(_ number: Int, _ one: String, _ many: String) -> String {
    "\(number) \(number == 1 ? one : many)"
  }
  private func list(_ items: [String]) -> String { items.joined(separator: ", ") }
}
