import Admin
import Leads
import Testing
import Wire

@Suite("Why a delivery has not been sent") struct DeliveryStandingTests {
  private static let now = "2026-11-23T10:00:00.000Z"
  private static let later = "2026-11-23T10:05:00.000Z"
  private static let before = "2026-11-23T09:00:00.000Z"
  private static let clock = LocalClock(zone: "Asia/Dubai") { _ in 4 * 3600 }
  private static let sometime = "Mon 23 Nov 2026 14:05:00 (Asia/Dubai)"
  private static let past = "Mon 23 Nov 2026 13:00 (Asia/Dubai)"

  private func sentence(_ delivery: JSON, channel: JSON = .null, seen: String? = now) -> String {
    let named = (delivery.members ?? []).reduce(["id": "d1", "channel": "slack"] as JSON) {
      $0.setting($1.key, $1.value)
    }
    return DeliveryStanding(
      [
        "kind": "delivery", "now": .string(Self.now), "delivery": named, "channel": channel,
        "workerLastSeen": JSON(seen),
      ], clock: Self.clock
    ).sentence
  }

  @Test("what has ended says how") func ended() {
    #expect(sentence(["state": "sent", "sentAt": .string(Self.before)]) == "It was sent via slack at \(Self.past).")
    #expect(
      sentence(["state": "given-up", "tries": 1, "class": "permanent", "reason": "invalid_blocks"])
        == "It was given up after 1 try (permanent: invalid_blocks): `leadpipe delivery retry d1` sends it again.")
    #expect(
      sentence(["state": "parked"])
        == "Whether it arrived is unknown, and it is parked: `leadpipe delivery retry d1` sends it again.")
  }

  @Test("what is in somebody's hands says in whose") func held() {
    #expect(
      sentence(["state": "claimed", "leasedBy": "h:1", "leaseUntil": .string(Self.later)])
        == "Worker h:1 has claimed it and sends it when its turn comes; should it not begin by \(Self.sometime), it waits "
        + "for its turn again, at no cost.")
    #expect(
      sentence(["state": "sending", "leasedBy": "h:1", "leaseUntil": .string(Self.later)])
        == "Worker h:1 is sending it now; if it says nothing by \(Self.sometime), the outcome is unknown.")
    #expect(
      sentence(["state": "sending", "leasedBy": "h:1", "leaseUntil": .string(Self.before)]).hasSuffix(
        "so whether it arrived is unknown; a claim settles that."))
  }

  @Test("a pause says what it is for and how it ends") func paused() {
    let config: JSON = [
      "isPaused": true, "class": "config", "reason": "no_service", "pausedUntil": .string(Self.later),
    ]
    let throttled: JSON = [
      "isPaused": true, "class": "throttled", "reason": "HTTP 429", "pausedUntil": .string(Self.later),
    ]
    #expect(
      sentence(["state": "pending"], channel: config).hasPrefix(
        "slack is set up wrongly (no_service): after \(Self.sometime) one"))
    #expect(
      sentence(["state": "waiting"], channel: throttled)
        == "slack asked us to wait (HTTP 429): it is sent in its turn after \(Self.sometime); "
        + "`leadpipe channel resume slack` ends the pause at once.")
    #expect(
      sentence(["state": "waiting", "nextAttemptAt": "2026-11-23T11:00:00.000Z"], channel: throttled)
        .contains("it is sent in its turn after Mon 23 Nov 2026 15:00 (Asia/Dubai);"))
    #expect(
      sentence(["state": "waiting", "reason": "This recipient is not configured; it waits."], channel: throttled)
        .hasPrefix("Its recipient is not configured"))
    #expect(
      sentence(["state": "pending"], channel: ["failStreak": 2, "probe": "d9"])
        == "slack was set up wrongly: delivery d9 tries it out, and this one follows when that goes well.")
    #expect(sentence(["state": "pending"], channel: ["failStreak": 2]).contains("its next claim takes one delivery"))
  }

  @Test("what waits says for what, and whether anybody is there") func waiting() {
    let failed: JSON = ["state": "waiting", "tries": 2, "class": "retry", "reason": "HTTP 500"]
    #expect(
      sentence(failed.setting("nextAttemptAt", .string(Self.later)))
        == "Try 2 failed (retry: HTTP 500); try 3 is due at \(Self.sometime).")
    #expect(
      sentence(failed.setting("nextAttemptAt", .string(Self.before)))
        == "Try 2 failed (retry: HTTP 500); try 3 is due; those that were due before it come first.")
    let fresh: JSON = ["state": "pending", "createdAt": .string(Self.before)]
    #expect(
      sentence(fresh)
        == "It has waited for its first try since \(Self.past); those that were due before it come first.")
    #expect(sentence(fresh, seen: nil).hasSuffix("; no worker was ever seen: start `leadpipe worker`."))
    #expect(
      sentence(fresh, seen: Self.before).hasSuffix("no worker was seen since \(Self.past): start `leadpipe worker`."))
    #expect(
      sentence(["state": "waiting", "reason": "This recipient is not configured; the delivery waits until it is."])
        == "Its recipient is not configured: it waits until it is, or until slack has one recipient only.")
  }

  @Test("an event says where its deliveries are") func events() {
    func sentence(_ event: JSON, _ deliveries: JSON = []) -> String {
      DeliveryStanding(
        [
          "kind": "event", "now": .string(Self.now), "event": event, "deliveries": deliveries,
          "workerLastSeen": .string(Self.now),
        ], clock: Self.clock
      ).sentence
    }
    #expect(
      sentence(["type": "lead.updated", "notifies": false]) == "lead.updated notifies nobody, so it has no delivery.")
    // A test message, which is planned as it is born.
    let planned: JSON = ["type": "channel.test", "notifies": false, "plannedAt": .string(Self.before)]
    #expect(sentence(planned, ["d1"]) == "This is an event with 1 deliveries, ask for one of them: d1.")
    #expect(sentence(["notifies": true]) == "Its deliveries are not planned yet; it waits for its turn.")
    #expect(sentence(["notifies": true, "plannedAt": .string(Self.before)]).hasPrefix("No channel was configured"))
    #expect(
      sentence(["notifies": true, "plannedAt": .string(Self.before)], ["d1"]).hasSuffix("ask for one of them: d1."))
  }
}
