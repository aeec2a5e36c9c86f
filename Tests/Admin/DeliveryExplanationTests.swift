import Admin
import Leads
import Testing
import Wire

@Suite("Why a delivery has not been sent") struct DeliveryExplanationTests {
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
    return DeliveryExplanation(
      [
        "kind": "delivery", "now": .string(Self.now), "delivery": named, "channel": channel,
        "workerLastSeen": JSON(seen),
      ], clock: Self.clock
    ).sentence
  }

  @Test("explains how a delivery ended") func ended() {
    #expect(sentence(["state": "sent", "sentAt": .string(Self.before)]) == "It was sent via slack at \(Self.past).")
    #expect(
      sentence(["state": "given-up", "tries": 1, "class": "permanent", "reason": "invalid_blocks"])
        == "It was given up after 1 attempt (permanent: invalid_blocks): `leadpipe delivery retry d1` sends it again.")
    #expect(
      sentence(["state": "parked"])
        == "It is unknown whether it arrived, so it is parked: `leadpipe delivery retry d1` sends it again.")
  }

  @Test("names the worker that holds a delivery") func held() {
    #expect(
      sentence(["state": "claimed", "leasedBy": "h:1", "leaseUntil": .string(Self.later)])
        == "Worker h:1 has claimed it and will send it in turn; if it does not begin by \(Self.sometime), it returns to "
        + "the queue without using an attempt.")
    #expect(
      sentence(["state": "sending", "leasedBy": "h:1", "leaseUntil": .string(Self.later)])
        == "Worker h:1 is sending it now; if the worker does not report by \(Self.sometime), the outcome is unknown.")
    #expect(
      sentence(["state": "sending", "leasedBy": "h:1", "leaseUntil": .string(Self.before)]).hasSuffix(
        "so it is unknown whether it arrived; the next claim settles that."))
  }

  @Test("explains why a channel is paused and when the pause ends") func paused() {
    let config: JSON = [
      "isPaused": true, "class": "config", "reason": "no_service", "pausedUntil": .string(Self.later),
    ]
    let throttled: JSON = [
      "isPaused": true, "class": "throttled", "reason": "HTTP 429", "pausedUntil": .string(Self.later),
    ]
    #expect(
      sentence(["state": "pending"], channel: config).hasPrefix(
        "slack is misconfigured (no_service): after \(Self.sometime) one"))
    #expect(
      sentence(["state": "waiting"], channel: throttled)
        == "slack asked Leadpipe to wait (HTTP 429): this delivery is sent in turn after \(Self.sometime); "
        + "`leadpipe channel resume slack` ends the pause at once.")
    #expect(
      sentence(["state": "waiting", "nextAttemptAt": "2026-11-23T11:00:00.000Z"], channel: throttled)
        .contains("this delivery is sent in turn after Mon 23 Nov 2026 15:00 (Asia/Dubai);"))
    #expect(
      sentence(["state": "waiting", "reason": "This recipient is not configured; it waits."], channel: throttled)
        .hasPrefix("Its recipient is not configured"))
    #expect(
      sentence(["state": "pending"], channel: ["failStreak": 2, "probe": "d9"])
        == "slack was misconfigured: delivery d9 tests it, and this one follows if it succeeds.")
    #expect(sentence(["state": "pending"], channel: ["failStreak": 2]).contains("its next claim takes one delivery"))
  }

  @Test("explains what a delivery waits for, and whether a worker was seen") func waiting() {
    let failed: JSON = ["state": "waiting", "tries": 2, "class": "retry", "reason": "HTTP 500"]
    #expect(
      sentence(failed.setting("nextAttemptAt", .string(Self.later)))
        == "Attempt 2 failed (retry: HTTP 500); attempt 3 is due at \(Self.sometime).")
    #expect(
      sentence(failed.setting("nextAttemptAt", .string(Self.before)))
        == "Attempt 2 failed (retry: HTTP 500); attempt 3 is due; deliveries that were due earlier are sent first.")
    let fresh: JSON = ["state": "pending", "createdAt": .string(Self.before)]
    #expect(
      sentence(fresh)
        == "It has waited for its first attempt since \(Self.past); deliveries that were due earlier are sent first.")
    #expect(sentence(fresh, seen: nil).hasSuffix("; no worker has ever been seen: start `leadpipe worker`."))
    #expect(
      sentence(fresh, seen: Self.before).hasSuffix(
        "no worker has been seen since \(Self.past): start `leadpipe worker`."))
    #expect(
      sentence(["state": "waiting", "reason": "This recipient is not configured; the delivery waits until it is."])
        == "Its recipient is not configured: it waits until the recipient is configured, or until slack has only one "
        + "recipient.")
  }

  @Test("explains where the deliveries of an event are") func events() {
    func sentence(_ event: JSON, _ deliveries: JSON = []) -> String {
      DeliveryExplanation(
        [
          "kind": "event", "now": .string(Self.now), "event": event, "deliveries": deliveries,
          "workerLastSeen": .string(Self.now),
        ], clock: Self.clock
      ).sentence
    }
    #expect(
      sentence(["type": "lead.updated", "notifies": false])
        == "lead.updated sends no notification, so it has no delivery.")
    // A test message is planned when it is created.
    let planned: JSON = ["type": "channel.test", "notifies": false, "plannedAt": .string(Self.before)]
    #expect(sentence(planned, ["d1"]) == "This is an event, not a delivery. Use the id of one of its deliveries: d1.")
    #expect(sentence(["notifies": true]) == "Its deliveries are not planned yet; it is waiting for its turn.")
    #expect(sentence(["notifies": true, "plannedAt": .string(Self.before)]).hasPrefix("No channel was configured"))
    #expect(
      sentence(["notifies": true, "plannedAt": .string(Self.before)], ["d1"]).hasSuffix(
        "Use the id of one of its deliveries: d1."))
  }
}
