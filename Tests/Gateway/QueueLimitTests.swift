import Testing

@testable import gateway

/// How many may wait, without any request.
@Suite struct WaitingRoomTests {
  private let start = ContinuousClock.now

  private func at(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }

  /// How many of `count` who come at a moment find a seat.
  private func seated(_ count: Int, in room: inout WaitingRoom, at milliseconds: Int) -> Int {
    (0..<count).count { _ in room.sitDown(at: at(milliseconds)) }
  }

  private func serve(_ count: Int, of room: inout WaitingRoom, at milliseconds: Int) {
    for _ in 0..<count {
      room.getUp(at: at(milliseconds))
      room.serve(at: at(milliseconds))
    }
  }

  @Test func aBurstHasAllSeats() {
    var room = WaitingRoom(seats: 256)
    #expect(seated(300, in: &room, at: 0) == 256)
    serve(10, of: &room, at: 100)
    #expect(seated(300, in: &room, at: 100) == 10)
  }

  @Test func underOverloadThereAreHalfAsManySeatsAsPlacesBecameFree() {
    var room = WaitingRoom(seats: 256)
    #expect(seated(300, in: &room, at: 0) == 256)
    // Twenty in ten milliseconds, in heaps.
    for time in stride(from: 10, through: 400, by: 10) {
      serve(min(20, room.taken), of: &room, at: time)
      _ = seated(80, in: &room, at: time)
    }
    #expect(80...110 ~= room.taken)
  }

  @Test func whereNobodyIsServedOneMayWait() {
    var room = WaitingRoom(seats: 256)
    #expect(seated(1, in: &room, at: 0) == 1)
    #expect(seated(1, in: &room, at: 5000) == 0)
    room.getUp(at: at(5000))
    #expect(seated(2, in: &room, at: 5100) == 2)
  }

  @Test func aWhileWithoutAQueueEndsTheOverload() {
    var room = WaitingRoom(seats: 8)
    #expect(seated(8, in: &room, at: 0) == 8)
    #expect(seated(1, in: &room, at: 200) == 0)
    serve(8, of: &room, at: 201)
    // An empty moment is none: places become free in heaps.
    #expect(seated(9, in: &room, at: 202) == 4)
    serve(4, of: &room, at: 203)
    #expect(seated(9, in: &room, at: 303) == 8)
  }

  @Test func whoWaitsForAProcessToStartIsNoOverload() {
    var room = WaitingRoom(seats: 8)
    #expect(seated(1, in: &room, at: 0) == 1)
    room.reopen(at: at(300))
    #expect(seated(8, in: &room, at: 350) == 7)
  }

  @Test func noMoreThanIsSetMayWaitHoweverFastTheyAreServed() {
    var room = WaitingRoom(seats: 4)
    for time in stride(from: 0, through: 500, by: 1) {
      _ = seated(10, in: &room, at: time)
      serve(3, of: &room, at: time)
    }
    #expect(room.taken <= 4)
  }
}
