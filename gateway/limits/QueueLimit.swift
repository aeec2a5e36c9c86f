/// How many may wait for a place: the decision, given the time.
///
/// A queue that comes and goes is a burst, and has all its seats. One that lasts longer than `stretch`, never empty for so long, is
/// overload: nobody gains by a long queue then, and there are only half as many seats as places became free within a
/// stretch, so that whoever sits down is served in about half of one; but one for each place where places become free seldom.
/// Whoever finds no seat is sent away before any work is spent on him.
struct WaitingRoom: Sendable {
  typealias Time = ContinuousClock.Instant

  /// How long a queue may last before it counts as overload, and over which places are counted.
  static var stretch: Duration { .milliseconds(100) }

  let seats: Int
  /// How many there are always: as many as there are places.
  let least: Int
  private(set) var taken = 0
  /// When the queue began, and when it was last found empty.
  private var since: Time?
  private var emptySince: Time?
  /// Places taken in this stretch, and in the one before: they become free in heaps.
  private var begin: Time?
  private var served = 0
  private var servedBefore = 0

  init(seats: Int, least: Int = 1) {
    self.seats = seats
    self.least = min(least, seats)
  }

  /// Whether one more may wait.
  mutating func hasSeat(at now: Time) -> Bool { taken < seatsNow(at: now) }

  /// One more waits. False when there is no seat for it.
  mutating func sitDown(at now: Time) -> Bool {
    guard hasSeat(at: now) else { return false }
    add(at: now)
    return true
  }

  /// One who had a place already waits again, seat or no seat.
  mutating func add(at now: Time) {
    if isQuiet(at: now) { since = now }
    taken += 1
  }

  mutating func getUp(at now: Time) {
    taken -= 1
    if taken == 0 { emptySince = now }
  }

  /// Somebody has got a place, from a seat or straight from the door.
  mutating func serve(at now: Time) {
    turn(to: now)
    served += 1
  }

  /// Places that nobody had before: whoever waits has waited for these to open, which is no overload.
  mutating func reopen(at now: Time) { since = now }

  private func isQuiet(at now: Time) -> Bool { taken == 0 && emptySince.map { now - $0 >= Self.stretch } ?? true }

  private mutating func seatsNow(at now: Time) -> Int {
    guard !isQuiet(at: now), let since, now - since > Self.stretch else { return seats }
    turn(to: now)
    return min(seats, max(least, served / 2, servedBefore / 2))
  }

  private mutating func turn(to now: Time) {
    guard let begin, now - begin < Self.stretch * 2 else {
      (self.begin, served, servedBefore) = (now, 0, 0)
      return
    }
    if now - begin >= Self.stretch { (self.begin, served, servedBefore) = (begin + Self.stretch, 0, served) }
  }
}
