import Wire

/// Why a delivery has not been sent, and when it will be: one sentence for the operator, of the facts that
/// `show_delivery` gives. It names no recipient.
package struct DeliveryStanding: Sendable {
  private let facts: JSON

  package init(_ facts: JSON) { self.facts = facts }

  package var sentence: String {
    facts["kind"]?.string == "event" ? ofEvent : ofDelivery
  }

  // MARK: - An event

  private var ofEvent: String {
    let event = facts["event"] ?? [:]
    let type = text(event, "type") ?? "It"
    let deliveries = (facts["deliveries"]?.array ?? []).compactMap(\.string)
    if event["notifies"]?.bool == false, deliveries.isEmpty { return "\(type) notifies nobody, so it has no delivery." }
    if text(event, "plannedAt") == nil { return "Its deliveries are not planned yet; \(claimer("plans them"))." }
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
      return "It was sent via \(channel) at \(text(delivery, "sentAt") ?? "an unknown time")."
    case "sending": return sending
    case "claimed":
      // What is claimed of a paused channel does not begin.
      return pause ?? "Worker \(holder) has claimed it and sends it when its turn comes; should it not begin by "
        + "\(text(delivery, "leaseUntil") ?? "then"), another claim takes it, at no cost."
    case "parked":
      return "Whether it arrived is unknown, and it is parked: `leadpipe delivery retry \(id)` sends it again."
    case "given-up":
      return
        "It was given up after \(count(tries, "try", "tries"))\(why): `leadpipe delivery retry \(id)` sends it again."
    default: return pause ?? probe ?? waiting
    }
  }

  private var holder: String { text(delivery, "leasedBy") ?? "somebody" }

  private var sending: String {
    guard let until = text(delivery, "leaseUntil") else { return "It is being sent." }
    let isOver = instant(until).map { $0 <= now } == true
    return isOver
      ? "Worker \(holder) was sending it and its lease ended at \(until), so whether it arrived is unknown; "
        + claimer("settles that") + "."
      : "Worker \(holder) is sending it now; if it says nothing by \(until), the outcome is unknown."
  }

  private var state: JSON { facts["channel"] ?? .null }
  /// What the channel's pause is for, in brackets.
  private var reason: String { text(state, "reason").map { " (\($0))" } ?? "" }

  /// What keeps the whole channel for a time; nil where nothing does.
  private var pause: String? {
    guard state["isPaused"]?.bool == true, let until = text(state, "pausedUntil") else { return nil }
    let way = "`leadpipe channel resume \(channel)` ends the pause at once"
    return text(state, "class") == "config"
      ? "\(channel) is set up wrongly\(reason): at \(until) one delivery tries it out, and this one follows when that "
        + "goes well; \(way)."
      : "\(channel) asked us to wait\(reason): it is sent after \(until); \(way)."
  }

  /// After the pause of a channel that was set up wrongly: who tries it out; nil for a channel that is not tried out.
  private var probe: String? {
    guard let streak = state["failStreak"]?.integer, streak > 0 else { return nil }
    let probe = text(state, "probe")
    return probe == nil || probe == id
      ? "\(channel) was set up wrongly\(reason), and its next claim takes one delivery to try it out; \(claimer("does that"))."
      : "\(channel) was set up wrongly\(reason): delivery \(probe ?? "") tries it out, and this one follows when that goes well."
  }

  private var waiting: String {
    if text(delivery, "reason")?.hasPrefix("This recipient is not configured") == true {
      return "Its recipient is not configured: it waits until it is, or until \(channel) has one recipient only."
    }
    guard let next = text(delivery, "nextAttemptAt"), text(delivery, "state") == "waiting" else {
      return
        "It has waited for its first try since \(text(delivery, "createdAt") ?? "its event"); \(claimer("takes it"))."
    }
    let isDue = instant(next).map { $0 <= now } == true
    return "Try \(tries) failed\(why); try \(tries + 1) "
      + (isDue ? "is due, and \(claimer("takes it"))." : "begins at \(next).")
  }

  // MARK: - Parts

  private var now: Instant { text(facts, "now").flatMap(instant) ?? .now }

  /// Who does it, or that nobody is there to do it: a worker is heard of at least every few seconds.
  private func claimer(_ does: String) -> String {
    guard let seen = text(facts, "workerLastSeen") else { return "no worker was ever seen: start `leadpipe worker`" }
    let isAlive = instant(seen).map { now.seconds(since: $0) < 60 } == true
    return isAlive ? "the next claim \(does)" : "no worker was seen since \(seen): start `leadpipe worker`"
  }

  private func text(_ document: JSON, _ key: String) -> String? { document[key]?.string }
  private func instant(_ text: String) -> Instant? { Instant(iso8601: text) }
  private func count(_ number: Int, _ one: String, _ many: String) -> String {
    "\(number) \(number == 1 ? one : many)"
  }
  private func list(_ items: [String]) -> String { items.joined(separator: ", ") }
}
