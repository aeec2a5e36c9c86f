import Testing

@testable import gateway

/// Who gets a request, and when processes come and go, without any process.
@Suite struct StreamRosterTests {
  private let now = ContinuousClock.now

  private func roster(processes: Int = 2, window: Int = 2, waiting: Int = 2, requests: Int = 100) -> StreamRoster<
    String
  > {
    StreamRoster(
      StreamLimits(processes: processes, window: window, waiting: waiting, requests: requests, age: .seconds(600)))
  }

  /// A roster whose first process serves, and has taken what came.
  private func serving(_ names: String..., window: Int = 2, requests: Int = 100) -> StreamRoster<String> {
    var roster = roster(window: window, requests: requests)
    for name in names { _ = roster.arrive(name, at: now) }
    if let number = roster.toStart(at: now) {
      roster.serve(number, at: now)
      while roster.next(for: number, at: now) != nil {}
    }
    return roster
  }

  @Test func theFirstRequestStartsAProcessAndWaitsForIt() {
    var roster = roster()
    guard case .waits = roster.arrive("a", at: now) else { return #expect(Bool(false)) }
    let first = roster.toStart(at: now)
    #expect(first == 1)
    let another = roster.toStart(at: now)
    #expect(another == nil)
    roster.serve(1, at: now)
    let given = roster.next(for: 1, at: now)
    #expect(given == "a")
    #expect(roster.first(of: 1) == "a")
    let answered = roster.answered(by: 1)?.request
    #expect(answered == "a")
    let answeredAgain = roster.answered(by: 1)?.request
    #expect(answeredAgain == nil)
  }

  @Test func aSecondProcessIsStartedWhenRequestsStandBehindOneAnother() {
    var roster = serving("a")
    let early = roster.toStart(at: now)
    #expect(early == nil)
    _ = roster.arrive("b", at: now)
    let second = roster.toStart(at: now)
    #expect(second == 2)
    roster.serve(2, at: now)
    guard case .given(to: 2) = roster.arrive("c", at: now) else { return #expect(Bool(false)) }
  }

  @Test func whoFindsNoPlaceWaitsAndWhoFindsNoSeatIsTurnedAway() {
    var roster = serving("a", "b")
    let second = roster.toStart(at: now)
    #expect(second == 2)
    guard case .waits(let ticket) = roster.arrive("c", at: now), case .waits = roster.arrive("d", at: now),
      case .turnedAway = roster.arrive("e", at: now)
    else { return #expect(Bool(false)) }
    let takenBack = roster.giveUp(ticket, at: .now)
    #expect(takenBack == "c")
    let takenBackAgain = roster.giveUp(ticket, at: .now)
    #expect(takenBackAgain == nil)
    _ = roster.answered(by: 1)
    let given = roster.next(for: 1, at: now)
    #expect(given == "d")
  }

  @Test func whatNeverReachedAProcessWaitsAgainBeforeAllOthers() {
    var roster = serving("a", "b", window: 4)
    for name in ["c", "d"] { _ = roster.arrive(name, at: now) }
    let (lost, again) = roster.end(1, unbegun: 2, isFault: true, at: now)
    #expect(lost.map(\.request) == ["a", "b"])
    #expect(again.map(\.request) == ["c", "d"])
    let next = roster.toStart(at: now)
    #expect(next == 2)
    roster.serve(2, at: now)
    let given = roster.next(for: 2, at: now)
    #expect(given == "c")
  }

  @Test func aProcessIsRetiredByNumberAndByAge() {
    var roster = serving("a", requests: 2)
    let isDoneEarly = roster.isDone(1, at: now)
    #expect(!isDoneEarly)
    _ = roster.arrive("b", at: now)
    guard case .waits = roster.arrive("c", at: now) else { return #expect(Bool(false)) }
    let next = roster.toStart(at: now)
    #expect(next == 2)
    let isDoneHalfway = roster.isDone(1, at: now)
    #expect(!isDoneHalfway)
    for _ in 1...2 { _ = roster.answered(by: 1) }
    let isDone = roster.isDone(1, at: now)
    #expect(isDone)
    roster.serve(2, at: now)
    let isYoungDone = roster.isDone(2, at: now + .seconds(599))
    #expect(!isYoungDone)
    let isOldDone = roster.isDone(2, at: now + .seconds(600))
    #expect(isOldDone)
  }

  @Test func falseStartsAreHeldBackLongerEachTime() {
    var roster = roster()
    var time = now
    var pauses: [Int] = []
    for number in 1...9 {
      guard case .waits = roster.arrive("a", at: time) else { return #expect(Bool(false)) }
      let started = roster.toStart(at: time)
      #expect(started == number)
      roster.serve(number, at: now)
      _ = roster.next(for: number, at: time)
      _ = roster.end(number, unbegun: 0, isFault: true, at: time)
      let pause = roster.pause(at: time) ?? .zero
      pauses.append(pause.milliseconds)
      if pause > .zero {
        guard case .heldBack = roster.arrive("b", at: time) else { return #expect(Bool(false)) }
        let startedInPause = roster.toStart(at: time)
        #expect(startedInPause == nil)
      }
      time += pause
    }
    #expect(pauses == [0, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])
  }
}

@Suite struct ReplyLinesTests {
  @Test func cutsWhatComesIntoLines() {
    var lines = ReplyLines(limit: 5)
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
