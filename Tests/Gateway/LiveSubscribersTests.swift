import Testing

@testable import gateway

/// Who hears what of a feed, and who is dropped, without any socket.
@Suite struct AudienceTests {
  private var audience = Audience<String>()
  private let now = ContinuousClock.now

  private static func ticket(_ cursor: String, seen: Int...) -> FeedTicket {
    FeedTicket(cursor: cursor, seen: Set(seen))
  }

  private static func batch(_ numbers: [Int?], to cursor: String, size: Int = 1) -> FeedBatch {
    FeedBatch(
      events: numbers.map { FeedEvent(number: $0, text: Array(repeating: 0x61, count: size)) }, cursor: cursor)
  }

  /// Registered, let in and begun.
  private mutating func sitDown(_ place: String, at cursor: String = "a") -> Int {
    let number = audience.register()
    #expect(audience.admit(number, Self.ticket(cursor)) == .taken)
    #expect(audience.begin(number, place)?.size == 0)
    return number
  }

  private mutating func publish(
    _ numbers: [Int?], from: String, to: String, size: Int = 1
  ) -> (told: [String: [Int?]], dropped: [String]) {
    let (deliveries, dropped) = audience.publish(Self.batch(numbers, to: to, size: size), after: from)
    return (
      Dictionary(uniqueKeysWithValues: deliveries.map { ($0.place, $0.text.events.map(\.number)) }), dropped.sorted()
    )
  }

  @Test mutating func theFirstListenerSaysWhereTheFeedBegins() {
    #expect(audience.next(at: now) == nil)
    _ = sitDown("one", at: "a")
    #expect(audience.next(at: now) == "a")
    let first = publish([1, 2], from: "a", to: "b")
    #expect(first.told == ["one": [1, 2]] && first.dropped.isEmpty)
    #expect(audience.next(at: now) == "b")
    #expect(publish([], from: "b", to: "c").told.isEmpty)
    #expect(audience.next(at: now) == "c")
  }

  @Test mutating func whatComesWhileTheHandlerIsAskedIsNeitherLostNorToldTwice() {
    _ = sitDown("one")
    let number = audience.register()
    _ = publish([1, 2, nil], from: "a", to: "b")
    // Its handler has seen 2 already, and 4, which the feed has not told yet.
    #expect(audience.admit(number, Self.ticket("x", seen: 2, 4)) == .taken)
    _ = publish([3], from: "b", to: "c")
    let held = audience.begin(number, "two")
    // What was left out is in no event's id.
    #expect(held?.events.map(\.number) == [1, nil, 3] && held?.bytes == Array("aaaid: c\n\n".utf8))
    #expect(publish([4, 5], from: "c", to: "d").told == ["one": [4, 5], "two": [5]])
  }

  /// Two asked while the feed stood still: it begins where the first was, and the second may have been before.
  @Test mutating func whoMayHaveMissedTheBeginningIsAskedAgain() {
    let (first, second, third) = (audience.register(), audience.register(), audience.register())
    #expect(audience.admit(first, Self.ticket("b")) == .taken)
    #expect(audience.admit(second, Self.ticket("a")) == .askAgain)
    #expect(audience.admit(third, Self.ticket("b")) == .taken)
    let again = audience.register()
    #expect(audience.admit(again, Self.ticket("c")) == .taken)
    #expect(audience.admitted == 3)
  }

  @Test mutating func whoIsNotLetInHearsNothing() {
    _ = sitDown("one")
    let number = audience.register()
    audience.leave(number)
    #expect(audience.admit(number, Self.ticket("a")) == .askAgain)
    #expect(audience.begin(number, "two")?.size == nil)
    #expect(publish([1], from: "a", to: "b").told == ["one": [1]])
  }

  @Test mutating func whoStopsReadingIsDroppedAndOthersGoOn() {
    let half = Audience<String>.patience / 2
    let reader = sitDown("reader")
    _ = sitDown("sleeper")
    #expect(publish([1, 2], from: "a", to: "b", size: half).told.count == 2)
    audience.sent(reader, 2 * half)
    let next = publish([3], from: "b", to: "c")
    #expect(next.told == ["reader": [3]] && next.dropped == ["sleeper"])
    #expect(audience.admitted == 1 && audience.dropped == 1)
    #expect(publish([4], from: "c", to: "d").told == ["reader": [4]])
  }

  @Test mutating func whatIsHeldHasALimitToo() {
    _ = sitDown("one")
    let number = audience.register()
    _ = publish([1, 2], from: "a", to: "b", size: Audience<String>.patience / 2 + 1)
    #expect(audience.admit(number, Self.ticket("b")) == .taken)
    #expect(audience.begin(number, "two")?.size == nil)
    #expect(audience.admitted == 0)
  }

  @Test mutating func placesAreCounted() {
    for place in 0..<Audience<String>.places { _ = sitDown(String(place)) }
    let number = audience.register()
    #expect(audience.admit(number, Self.ticket("a")) == .full)
    audience.leave(1)
    #expect(sitDown("another") == number + 1)
  }

  @Test mutating func theFeedGoesOnForALittleWhenAllHaveLeft() {
    let number = sitDown("one")
    audience.leave(number)
    #expect(audience.next(at: now) == "a")
    #expect(audience.next(at: now + .seconds(4)) == "a")
    let again = sitDown("one")
    #expect(audience.next(at: now + .seconds(6)) == "a")
    audience.leave(again)
    #expect(audience.next(at: now + .seconds(7)) == "a")
    #expect(audience.next(at: now + .seconds(13)) == nil)
    // It begins anew, and who registered before may have missed something.
    let late = audience.register()
    _ = sitDown("two", at: "m")
    #expect(audience.admit(late, Self.ticket("l")) == .askAgain)
  }

  @Test mutating func aBatchOfAnotherStretchIsNobodys() {
    _ = sitDown("one")
    #expect(audience.scatter() == ["one"])
    _ = sitDown("two", at: "m")
    #expect(publish([1], from: "a", to: "b").told.isEmpty)
    #expect(publish([2], from: "m", to: "n").told == ["two": [2]])
  }

  @Test mutating func whenItIsClosedNobodyIsLetIn() {
    _ = sitDown("one")
    let (asked, admitted) = (audience.register(), audience.register())
    #expect(audience.admit(admitted, Self.ticket("a")) == .taken)
    #expect(audience.close() == ["one"])
    #expect(audience.admit(asked, Self.ticket("a")) == .closed)
    #expect(audience.begin(admitted, "two")?.size == nil)
    #expect(audience.admit(audience.register(), Self.ticket("a")) == .closed)
    #expect(audience.next(at: now) == nil)
  }
}
