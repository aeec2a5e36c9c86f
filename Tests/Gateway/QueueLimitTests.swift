import Testing

@testable import gateway

/// Tests of how many requests may wait.
@Suite struct QueueLimitTests {
  private let start = ContinuousClock.now

  private func at(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }

  /// Returns how many of `count` requests that arrive at once may wait.
  private func joined(_ count: Int, in queue: inout QueueLimit, at milliseconds: Int) -> Int {
    (0..<count).count { _ in queue.join(at: at(milliseconds)) }
  }

  private func serve(_ count: Int, of queue: inout QueueLimit, at milliseconds: Int) {
    for _ in 0..<count {
      queue.leave(at: at(milliseconds))
      queue.recordServed(at: at(milliseconds))
    }
  }

  @Test func aBurstMayUseTheWholeCapacity() {
    var queue = QueueLimit(capacity: 256)
    #expect(joined(300, in: &queue, at: 0) == 256)
    serve(10, of: &queue, at: 100)
    #expect(joined(300, in: &queue, at: 100) == 10)
  }

  @Test func underOverloadHalfOfTheNumberServedIn100MillisecondsMayWait() {
    var queue = QueueLimit(capacity: 256)
    #expect(joined(300, in: &queue, at: 0) == 256)
    // Twenty are served at once, every ten milliseconds.
    for time in stride(from: 10, through: 400, by: 10) {
      serve(min(20, queue.count), of: &queue, at: time)
      _ = joined(80, in: &queue, at: time)
    }
    #expect(80...110 ~= queue.count)
  }

  @Test func oneMayWaitIfNoneIsServed() {
    var queue = QueueLimit(capacity: 256)
    #expect(joined(1, in: &queue, at: 0) == 1)
    #expect(joined(1, in: &queue, at: 5000) == 0)
    queue.leave(at: at(5000))
    #expect(joined(2, in: &queue, at: 5100) == 2)
  }

  @Test func anEmptyQueueEndsTheOverload() {
    var queue = QueueLimit(capacity: 8)
    #expect(joined(8, in: &queue, at: 0) == 8)
    #expect(joined(1, in: &queue, at: 200) == 0)
    serve(8, of: &queue, at: 201)
    // A moment with an empty queue does not end it, because many requests are served at once.
    #expect(joined(9, in: &queue, at: 202) == 4)
    serve(4, of: &queue, at: 203)
    #expect(joined(9, in: &queue, at: 303) == 8)
  }

  @Test func waitingForTheStartOfAProcessIsNoOverload() {
    var queue = QueueLimit(capacity: 8)
    #expect(joined(1, in: &queue, at: 0) == 1)
    queue.capacityAdded(at: at(300))
    #expect(joined(8, in: &queue, at: 350) == 7)
  }

  @Test func atMostTheCapacityMayWait() {
    var queue = QueueLimit(capacity: 4)
    for time in stride(from: 0, through: 500, by: 1) {
      _ = joined(10, in: &queue, at: time)
      serve(3, of: &queue, at: time)
    }
    #expect(queue.count <= 4)
  }
}
