import Deliveries
import Testing
import Wire

@Suite("What follows from the outcome of an attempt") struct RetryScheduleTests {
  private func verdict(
    _ class: DeliveryOutcome.Class, attempt: Int = 1, age: Int = 0, chance: Double = 0.5, retryAfter: Int? = nil
  ) -> RetrySchedule.Verdict {
    RetrySchedule.verdict(
      on: DeliveryOutcome(`class`, retryAfterSeconds: retryAfter), attempt: attempt, eventAge: age, chance: chance)
  }

  @Test("a delivered message is sent, a permanent failure is given up, a deferred message is pending") func final() {
    #expect(verdict(.delivered) == .init(status: "sent", burnsAttempt: true, retryInSeconds: nil))
    #expect(verdict(.accepted).status == "sent")
    #expect(verdict(.permanent) == .init(status: "failed", burnsAttempt: true, retryInSeconds: nil))
    #expect(verdict(.deferred) == .init(status: "pending", burnsAttempt: false, retryInSeconds: nil))
  }

  @Test(
    "the wait before a retry grows with each attempt",
    arguments: [
      (1, 2), (2, 10), (3, 30), (4, 120), (5, 600), (6, 1800), (7, 3600), (8, 7200), (9, 14_400), (50, 14_400),
    ])
  func backoff(_ attempt: Int, _ seconds: Int) {
    #expect(verdict(.retry, attempt: attempt).retryInSeconds == seconds)
    #expect(verdict(.unknown, attempt: attempt).retryInSeconds == seconds)
    #expect(verdict(.retry, attempt: attempt).burnsAttempt)
  }

  @Test("an unknown outcome is parked if so configured, but never for email") func parking() {
    let parked = RetrySchedule.verdict(
      on: DeliveryOutcome(.unknown), attempt: 1, eventAge: 0, chance: 0.5, parksUnknown: true)
    #expect(parked == .init(status: "failed", burnsAttempt: true, retryInSeconds: nil))
    let retried = RetrySchedule.verdict(
      on: DeliveryOutcome(.retry), attempt: 1, eventAge: 0, chance: 0.5, parksUnknown: true)
    #expect(retried.retryInSeconds == 2)
    #expect(["slack", "telegram", "email"].map(UnknownOutcome.park.parks) == [true, true, false])
    #expect(!UnknownOutcome.resend.parks("slack"))
  }

  @Test("waits are spread by 20 %") func spread() {
    #expect(verdict(.retry, attempt: 3, chance: 0).retryInSeconds == 24)
    #expect(verdict(.retry, attempt: 3, chance: 1).retryInSeconds == 36)
  }

  @Test("no attempt begins later than 72 hours after the event") func horizon() {
    #expect(verdict(.retry, attempt: 9, age: 72 * 3600 - 14_400).retryInSeconds == 14_400)
    #expect(verdict(.retry, attempt: 9, age: 72 * 3600 - 14_399).retryInSeconds == nil)
  }

  @Test("an error of the channel does not count as an attempt of the message") func channel() {
    #expect(verdict(.throttled, retryAfter: 7) == .init(status: "failed", burnsAttempt: false, retryInSeconds: 7))
    #expect(verdict(.throttled, retryAfter: 1_000_000).retryInSeconds == 86_400)
    #expect(verdict(.throttled).retryInSeconds == 30)
    #expect(verdict(.config, age: 1_000_000) == .init(status: "failed", burnsAttempt: false, retryInSeconds: 300))
  }

  @Test("the wait that a provider asks for is respected") func retryAfter() {
    #expect(verdict(.retry, retryAfter: 60).retryInSeconds == 60)
  }
}
