import Testing

@testable import gateway

/// Tests of which process gets a request, and of when processes are started and ended, without any process.
@Suite struct StreamSchedulerTests {
  private let now = ContinuousClock.now

  private func scheduler(processes: Int = 2, window: Int = 2, queue: Int = 2, requests: Int = 100) -> StreamScheduler<
    String
  > {
    StreamScheduler(
      StreamLimits(processes: processes, window: window, queue: queue, requests: requests, age: .seconds(600)))
  }

  /// Returns a scheduler whose first process has started and has been assigned these requests.
  private func serving(_ names: String..., window: Int = 2, requests: Int = 100) -> StreamScheduler<String> {
    var scheduler = scheduler(window: window, requests: requests)
    for name in names { _ = scheduler.arrive(name, at: now) }
    if let number = scheduler.processToStart(at: now) {
      scheduler.started(number, at: now)
      while scheduler.next(for: number, at: now) != nil {}
    }
    return scheduler
  }

  @Test func theFirstRequestStartsAProcessAndWaitsForIt() {
    var scheduler = scheduler()
    guard case .queued = scheduler.arrive("a", at: now) else { return #expect(Bool(false)) }
    let first = scheduler.processToStart(at: now)
    #expect(first == 1)
    let another = scheduler.processToStart(at: now)
    #expect(another == nil)
    scheduler.started(1, at: now)
    let assigned = scheduler.next(for: 1, at: now)
    #expect(assigned == "a")
    #expect(scheduler.first(of: 1) == "a")
    let answered = scheduler.replied(1)?.request
    #expect(answered == "a")
    let answeredAgain = scheduler.replied(1)?.request
    #expect(answeredAgain == nil)
  }

  @Test func aSecondProcessIsStartedWhenTheFirstHasSeveralRequests() {
    var scheduler = serving("a")
    let early = scheduler.processToStart(at: now)
    #expect(early == nil)
    _ = scheduler.arrive("b", at: now)
    let second = scheduler.processToStart(at: now)
    #expect(second == 2)
    scheduler.started(2, at: now)
    guard case .assigned(to: 2) = scheduler.arrive("c", at: now) else { return #expect(Bool(false)) }
  }

  @Test func aRequestWithoutAPlaceWaitsAndIsRefusedIfTheQueueIsFull() {
    var scheduler = serving("a", "b")
    let second = scheduler.processToStart(at: now)
    #expect(second == 2)
    guard case .queued(let number) = scheduler.arrive("c", at: now), case .queued = scheduler.arrive("d", at: now),
      case .refused = scheduler.arrive("e", at: now)
    else { return #expect(Bool(false)) }
    let gaveUp = scheduler.giveUp(number, at: .now)
    #expect(gaveUp == "c")
    let gaveUpAgain = scheduler.giveUp(number, at: .now)
    #expect(gaveUpAgain == nil)
    _ = scheduler.replied(1)
    let assigned = scheduler.next(for: 1, at: now)
    #expect(assigned == "d")
  }

  @Test func requestsThatNeverReachedTheirProcessAreRequeuedFirst() {
    var scheduler = serving("a", "b", window: 4)
    for name in ["c", "d"] { _ = scheduler.arrive(name, at: now) }
    let (lost, requeued) = scheduler.ended(1, unsent: 2, isFailure: true, at: now)
    #expect(lost.map(\.request) == ["a", "b"])
    #expect(requeued.map(\.request) == ["c", "d"])
    let next = scheduler.processToStart(at: now)
    #expect(next == 2)
    scheduler.started(2, at: now)
    let assigned = scheduler.next(for: 2, at: now)
    #expect(assigned == "c")
  }

  @Test func aProcessIsRetiredByItsRequestsAndByItsAge() {
    var scheduler = serving("a", requests: 2)
    let isDoneEarly = scheduler.isDone(1, at: now)
    #expect(!isDoneEarly)
    _ = scheduler.arrive("b", at: now)
    guard case .queued = scheduler.arrive("c", at: now) else { return #expect(Bool(false)) }
    let next = scheduler.processToStart(at: now)
    #expect(next == 2)
    let isDoneHalfway = scheduler.isDone(1, at: now)
    #expect(!isDoneHalfway)
    for _ in 1...2 { _ = scheduler.replied(1) }
    let isDone = scheduler.isDone(1, at: now)
    #expect(isDone)
    scheduler.started(2, at: now)
    let isYoungDone = scheduler.isDone(2, at: now + .seconds(599))
    #expect(!isYoungDone)
    let isOldDone = scheduler.isDone(2, at: now + .seconds(600))
    #expect(isOldDone)
  }

  @Test func thePauseAfterAFailedStartGrowsEachTime() {
    var scheduler = scheduler()
    var time = now
    var pauses: [Int] = []
    for number in 1...9 {
      guard case .queued = scheduler.arrive("a", at: time) else { return #expect(Bool(false)) }
      let started = scheduler.processToStart(at: time)
      #expect(started == number)
      scheduler.started(number, at: now)
      _ = scheduler.next(for: number, at: time)
      _ = scheduler.ended(number, unsent: 0, isFailure: true, at: time)
      let pause = scheduler.pause(at: time) ?? .zero
      pauses.append(pause.milliseconds)
      if pause > .zero {
        guard case .backingOff = scheduler.arrive("b", at: time) else { return #expect(Bool(false)) }
        let startedInPause = scheduler.processToStart(at: time)
        #expect(startedInPause == nil)
      }
      time += pause
    }
    #expect(pauses == [0, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])
  }
}

@Suite struct StdoutLinesTests {
  @Test func splitsBytesIntoLines() {
    var lines = StdoutLines(limit: 5)
    let parts = ["a\nb", "c\n\n \r\nd", "e\n"].map {
      lines.add(Array($0.utf8)[...])?.map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(parts == [["a"], ["bc"], ["de"]])
    let unfinished = lines.add(Array("rest".utf8)[...])
    #expect(unfinished == [])
    #expect(lines.rest == Array("rest".utf8))
    let tooLong = lines.add(Array("too long\n".utf8)[...])
    #expect(tooLong == nil)
  }
}
