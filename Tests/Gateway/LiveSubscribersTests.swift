import Testing

@testable import gateway

/// Tests of which subscriber gets which events, and which one is dropped, without a socket.
@Suite struct LiveSubscribersTests {
  private var subscribers = LiveSubscribers<String>()
  private let now = ContinuousClock.now

  private static func position(_ cursor: String, seen: Int...) -> FeedPosition {
    FeedPosition(cursor: cursor, seen: Set(seen))
  }

  private static func batch(_ numbers: [Int?], to cursor: String, size: Int = 1) -> FeedBatch {
    FeedBatch(
      events: numbers.map { FeedEvent(number: $0, text: Array(repeating: 0x61, count: size)) }, cursor: cursor)
  }

  /// Registers, accepts and starts a subscriber.
  private mutating func subscribe(_ output: String, at cursor: String = "a") -> Int {
    let number = subscribers.register()
    #expect(subscribers.accept(number, at: Self.position(cursor)) == .accepted)
    #expect(subscribers.start(number, output)?.size == 0)
    return number
  }

  private mutating func publish(
    _ numbers: [Int?], from: String, to: String, size: Int = 1
  ) -> (sent: [String: [Int?]], dropped: [String]) {
    let (pushes, dropped) = subscribers.publish(Self.batch(numbers, to: to, size: size), after: from)
    return (
      Dictionary(uniqueKeysWithValues: pushes.map { ($0.output, $0.text.events.map(\.number)) }), dropped.sorted()
    )
  }

  @Test mutating func theFeedBeginsAtTheCursorOfItsFirstSubscriber() {
    #expect(subscribers.nextCursor(at: now) == nil)
    _ = subscribe("one", at: "a")
    #expect(subscribers.nextCursor(at: now) == "a")
    let first = publish([1, 2], from: "a", to: "b")
    #expect(first.sent == ["one": [1, 2]] && first.dropped.isEmpty)
    #expect(subscribers.nextCursor(at: now) == "b")
    #expect(publish([], from: "b", to: "c").sent.isEmpty)
    #expect(subscribers.nextCursor(at: now) == "c")
  }

  @Test mutating func anEventDuringTheHandlersReplyIsSentExactlyOnce() {
    _ = subscribe("one")
    let number = subscribers.register()
    _ = publish([1, 2, nil], from: "a", to: "b")
    // The handler's reply contains 2, and 4, which the feed has not published yet.
    #expect(subscribers.accept(number, at: Self.position("x", seen: 2, 4)) == .accepted)
    _ = publish([3], from: "b", to: "c")
    let held = subscribers.start(number, "two")
    // Events were left out, so the cursor follows as a block of its own.
    #expect(
      held?.events.map(\.number) == [1, nil, 3] && held?.bytes == Array("aaaevent: hello\nid: c\ndata: {}\n\n".utf8))
    #expect(publish([4, 5], from: "c", to: "d").sent == ["one": [4, 5], "two": [5]])
  }

  /// The subscribers register while the feed is not running. It starts at the first one's cursor; another one's cursor
  /// may be earlier.
  @Test mutating func aHandlerIsAskedAgainIfItsSubscriberMayMissEvents() {
    let (first, second, third) = (subscribers.register(), subscribers.register(), subscribers.register())
    #expect(subscribers.accept(first, at: Self.position("b")) == .accepted)
    #expect(subscribers.accept(second, at: Self.position("a")) == .repeatCall)
    #expect(subscribers.accept(third, at: Self.position("b")) == .accepted)
    let again = subscribers.register()
    #expect(subscribers.accept(again, at: Self.position("c")) == .accepted)
    #expect(subscribers.accepted == 3)
  }

  @Test mutating func aRemovedSubscriberGetsNothing() {
    _ = subscribe("one")
    let number = subscribers.register()
    subscribers.remove(number)
    #expect(subscribers.accept(number, at: Self.position("a")) == .repeatCall)
    #expect(subscribers.start(number, "two")?.size == nil)
    #expect(publish([1], from: "a", to: "b").sent == ["one": [1]])
  }

  @Test mutating func aSubscriberThatStopsReadingIsDroppedAndTheOthersStay() {
    let half = LiveSubscribers<String>.bufferLimit / 2
    let reader = subscribe("reader")
    _ = subscribe("stalled")
    #expect(publish([1, 2], from: "a", to: "b", size: half).sent.count == 2)
    subscribers.sent(reader, 2 * half)
    let next = publish([3], from: "b", to: "c")
    #expect(next.sent == ["reader": [3]] && next.dropped == ["stalled"])
    #expect(subscribers.accepted == 1 && subscribers.dropped == 1)
    #expect(publish([4], from: "c", to: "d").sent == ["reader": [4]])
  }

  @Test mutating func heldEventsHaveALimitToo() {
    _ = subscribe("one")
    let number = subscribers.register()
    _ = publish([1, 2], from: "a", to: "b", size: LiveSubscribers<String>.bufferLimit / 2 + 1)
    #expect(subscribers.accept(number, at: Self.position("b")) == .accepted)
    #expect(subscribers.start(number, "two")?.size == nil)
    #expect(subscribers.accepted == 0)
  }

  @Test mutating func theNumberOfSubscribersIsLimited() {
    for output in 0..<LiveSubscribers<String>.capacity { _ = subscribe(String(output)) }
    let number = subscribers.register()
    #expect(subscribers.accept(number, at: Self.position("a")) == .full)
    subscribers.remove(1)
    #expect(subscribe("another") == number + 1)
  }

  @Test mutating func theFeedRunsForAWhileAfterTheLastSubscriberLeaves() {
    let number = subscribe("one")
    subscribers.remove(number)
    #expect(subscribers.nextCursor(at: now) == "a")
    #expect(subscribers.nextCursor(at: now + .seconds(4)) == "a")
    let again = subscribe("one")
    #expect(subscribers.nextCursor(at: now + .seconds(6)) == "a")
    subscribers.remove(again)
    #expect(subscribers.nextCursor(at: now + .seconds(7)) == "a")
    #expect(subscribers.nextCursor(at: now + .seconds(13)) == nil)
    // The feed starts again, and a subscriber that registered before that may miss events.
    let late = subscribers.register()
    _ = subscribe("two", at: "m")
    #expect(subscribers.accept(late, at: Self.position("l")) == .repeatCall)
  }

  @Test mutating func aBatchOfAnEarlierRunIsDropped() {
    _ = subscribe("one")
    #expect(subscribers.removeAll() == ["one"])
    _ = subscribe("two", at: "m")
    #expect(publish([1], from: "a", to: "b").sent.isEmpty)
    #expect(publish([2], from: "m", to: "n").sent == ["two": [2]])
  }

  @Test mutating func aClosedFeedAcceptsNoSubscriber() {
    _ = subscribe("one")
    let (asked, accepted) = (subscribers.register(), subscribers.register())
    #expect(subscribers.accept(accepted, at: Self.position("a")) == .accepted)
    #expect(subscribers.close() == ["one"])
    #expect(subscribers.accept(asked, at: Self.position("a")) == .closed)
    #expect(subscribers.start(accepted, "two")?.size == nil)
    #expect(subscribers.accept(subscribers.register(), at: Self.position("a")) == .closed)
    #expect(subscribers.nextCursor(at: now) == nil)
  }
}
