/// What the limiter says of one request.
package struct RateVerdict: Sendable, Equatable {
  package let isAllowed: Bool
  package let limit: RateLimit
  /// How many more would be admitted now.
  package let remaining: Int
  /// Milliseconds until the next admission is given back; the whole time of the limit where none is used.
  package let resetsIn: Int

  /// The same in whole seconds, rounded up. Whoever was refused and comes back after these is admitted.
  package var resetsInSeconds: Int { (resetsIn + 999) / 1000 }
}

/// Admits no more than `limit.count` requests of a key in any `limit.seconds`: it remembers the time of every admission
/// that still counts. A bucket that refills would admit up to twice as many.
///
/// Refusals are not counted. Times are milliseconds of a clock of the caller's; one that goes back grants nothing.
///
/// **Memory.** At most `capacity` keys, and for each at most `limit.count` times of 8 bytes. The standard capacity is
/// 65,536 keys or 4,194,304 times, whichever is less: 32 MiB of times, twice that with what growing arrays reserve, and
/// 8 MiB for the table and its entries (some 120 bytes a key). It is taken only as clients come. When the table is full
/// of keys that still count, newcomers share one more entry, so that nobody's history is dropped early and nobody gets
/// out of a limit by flooding the table. An entry whose time is over makes room.
package struct RateLimiter<Key: Hashable & Sendable>: Sendable {
  private struct Entry: Sendable {
    var key: Key?
    var ring = AdmissionRing()
    /// The neighbours in the order of their last admissions.
    var older: Int?
    var newer: Int?
  }

  package let limit: RateLimit
  package let capacity: Int
  private var places: [Key: Int] = [:]
  private var entries: [Entry] = []
  private var free: [Int] = []
  private var oldest: Int?
  private var newest: Int?
  /// What newcomers share while the table is full.
  private var overflow = AdmissionRing()
  /// The latest time that was ever told.
  private var latest = Int.min

  package static func standardCapacity(for limit: RateLimit) -> Int { min(65_536, 4_194_304 / limit.count) }

  package init(_ limit: RateLimit, capacity: Int? = nil) {
    self.limit = limit
    self.capacity = max(1, capacity ?? Self.standardCapacity(for: limit))
  }

  /// How many keys are remembered.
  package var count: Int { places.count }

  /// What `admit` would say; counts nothing.
  package func judge(_ key: Key, at now: Int) -> RateVerdict {
    let time = max(now, latest)
    return (places[key].map { entries[$0].ring } ?? overflow).judge(limit, at: time, told: now)
  }

  /// Counts the request if it is within the limit.
  package mutating func admit(_ key: Key, at now: Int) -> RateVerdict {
    latest = max(now, latest)
    if let place = places[key] {
      let verdict = entries[place].ring.admit(limit, at: latest, told: now)
      if verdict.isAllowed {
        unlink(place)
        append(place)
      }
      return verdict
    }
    // Each call adds at most one entry, so taking two away keeps up with any flood at a constant price.
    for _ in 0..<2 where isOver(oldest, at: latest) { removeOldest() }
    if let last = overflow.last, latest - last >= limit.milliseconds { overflow = AdmissionRing() }
    guard places.count < capacity else { return overflow.admit(limit, at: latest, told: now) }
    // What newcomers have shared may all have been this one's.
    var ring = overflow
    let verdict = ring.admit(limit, at: latest, told: now)
    guard verdict.isAllowed else { return verdict }
    let place = free.popLast() ?? entries.count
    if place == entries.count { entries.append(Entry()) }
    entries[place].key = key
    entries[place].ring = ring
    places[key] = place
    append(place)
    return verdict
  }

  private func isOver(_ place: Int?, at time: Int) -> Bool {
    guard let place, let last = entries[place].ring.last else { return false }
    return time - last >= limit.milliseconds
  }

  private mutating func removeOldest() {
    guard let place = oldest else { return }
    unlink(place)
    if let key = entries[place].key { places[key] = nil }
    entries[place] = Entry()
    free.append(place)
  }

  private mutating func append(_ place: Int) {
    entries[place].older = newest
    entries[place].newer = nil
    if let newest { entries[newest].newer = place } else { oldest = place }
    newest = place
  }

  private mutating func unlink(_ place: Int) {
    let (older, newer) = (entries[place].older, entries[place].newer)
    if let older { entries[older].newer = newer } else { oldest = newer }
    if let newer { entries[newer].older = older } else { newest = older }
  }
}

/// The times of the last admissions of one key, as many as the limit has: a ring that grows until it is that large.
private struct AdmissionRing: Sendable {
  private var times: [Int] = []
  /// Where the oldest is, once the ring is full.
  private var start = 0

  var last: Int? { times.isEmpty ? nil : times[(start + times.count - 1) % times.count] }

  private func time(_ index: Int) -> Int { times[(start + index) % times.count] }

  /// How many at the start no longer count at `now`: times only rise, so it is a search by halves.
  private func gone(_ limit: RateLimit, at now: Int) -> Int {
    var (low, high) = (0, times.count)
    while low < high {
      let middle = (low + high) / 2
      if now - time(middle) >= limit.milliseconds { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// `told` is the caller's own clock, from which it will wait.
  func judge(_ limit: RateLimit, at now: Int, told: Int) -> RateVerdict {
    let gone = gone(limit, at: now)
    let used = times.count - gone
    let resetsIn = used == 0 ? limit.milliseconds : time(gone) + limit.milliseconds - told
    return RateVerdict(
      isAllowed: used < limit.count, limit: limit, remaining: limit.count - used, resetsIn: resetsIn)
  }

  mutating func admit(_ limit: RateLimit, at now: Int, told: Int) -> RateVerdict {
    let before = judge(limit, at: now, told: told)
    guard before.isAllowed else { return before }
    if times.count < limit.count {
      times.append(now)
    } else {
      times[start] = now
      start = (start + 1) % times.count
    }
    // Where none counted before, the one that was admitted now is the next to be given back: a whole time from now.
    let resetsIn = before.remaining == limit.count ? now + limit.milliseconds - told : before.resetsIn
    return RateVerdict(isAllowed: true, limit: limit, remaining: before.remaining - 1, resetsIn: resetsIn)
  }
}
