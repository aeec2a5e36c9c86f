/// The limiter's decision on one request.
package struct RateVerdict: Sendable, Equatable {
  package let isAllowed: Bool
  package let limit: RateLimit
  /// How many more requests would be admitted now.
  package let remaining: Int
  /// Milliseconds until the next admission expires, or the whole period if none is in use.
  package let resetsIn: Int
  /// The time under which the request was counted, which `giveBack` requires.
  package let countedAt: Int

  package init(isAllowed: Bool, limit: RateLimit, remaining: Int, resetsIn: Int, countedAt: Int) {
    self.isAllowed = isAllowed
    self.limit = limit
    self.remaining = remaining
    self.resetsIn = resetsIn
    self.countedAt = countedAt
  }

  /// `resetsIn` in whole seconds, rounded up. A refused client that retries after this time is admitted.
  package var resetsInSeconds: Int { (resetsIn + 999) / 1000 }
}

/// Admits at most `limit.count` requests per key in any `limit.seconds`. It stores the time of every admission within
/// the period: a token bucket would admit up to twice as many requests in one period.
///
/// Refused requests are not counted. An admission can be given back after the fact, whole or by half. Times are
/// milliseconds of the caller's clock. A clock that goes back admits no extra requests.
///
/// **Memory.** At most `capacity` keys, with at most `limit.count` times of 8 bytes each. The standard capacity is
/// 65,536 keys or 4,194,304 times, whichever is less: 32 MiB of times (up to twice that, because growing arrays reserve
/// space) and 8 MiB for the table and its entries (about 120 bytes per key). Memory is allocated only as clients
/// arrive. When the table is full of active keys, all new keys share one extra entry. So no history is dropped early,
/// and flooding the table does not evade a limit. Expired entries are reused.
package struct RateLimiter<Key: Hashable & Sendable>: Sendable {
  private struct Entry: Sendable {
    var key: Key?
    var ring = AdmissionRing()
    /// Neighbours in the order of last admission.
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
  /// The entry that new keys share while the table is full.
  private var overflow = AdmissionRing()
  /// The latest time passed in so far.
  private var latest = Int.min

  package static func standardCapacity(for limit: RateLimit) -> Int { min(65_536, 4_194_304 / limit.count) }

  package init(_ limit: RateLimit, capacity: Int? = nil) {
    self.limit = limit
    self.capacity = max(1, capacity ?? Self.standardCapacity(for: limit))
  }

  /// The number of keys in memory.
  package var count: Int { places.count }

  /// Returns the verdict that `admit` would give, without counting the request.
  package func judge(_ key: Key, at now: Int) -> RateVerdict {
    let time = max(now, latest)
    return (places[key].map { entries[$0].ring } ?? overflow).judge(limit, at: time, callerTime: now)
  }

  /// Counts the request if it is within the limit.
  package mutating func admit(_ key: Key, at now: Int) -> RateVerdict {
    latest = max(now, latest)
    if let place = places[key] {
      let verdict = entries[place].ring.admit(limit, at: latest, callerTime: now)
      if verdict.isAllowed {
        unlink(place)
        append(place)
      }
      return verdict
    }
    // Each call adds at most one entry, so removing up to two keeps up with any flood at a constant cost.
    for _ in 0..<2 where isOver(oldest, at: latest) { removeOldest() }
    if let last = overflow.last, latest - last >= limit.milliseconds { overflow = AdmissionRing() }
    guard places.count < capacity else { return overflow.admit(limit, at: latest, callerTime: now) }
    // All admissions in the shared entry may have been this key's, so its history starts with them.
    var ring = overflow
    let verdict = ring.admit(limit, at: latest, callerTime: now)
    guard verdict.isAllowed else { return verdict }
    let place = free.popLast() ?? entries.count
    if place == entries.count { entries.append(Entry()) }
    entries[place].key = key
    entries[place].ring = ring
    places[key] = place
    append(place)
    return verdict
  }

  /// Gives back the admission that was counted at `time`. By half, two such admissions together count as one. Does
  /// nothing if the admission has expired.
  package mutating func giveBack(_ key: Key, countedAt time: Int, half: Bool) {
    if let place = places[key] {
      entries[place].ring.giveBack(time, half: half, limit)
    } else {
      overflow.giveBack(time, half: half, limit)
    }
  }

  private func isOver(_ place: Int?, at time: Int) -> Bool {
    guard let place else { return false }
    // An entry whose admissions were all given back is empty.
    guard let last = entries[place].ring.last else { return true }
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

/// The times of the last admissions of one key, up to the limit's count: a ring that grows to that size.
private struct AdmissionRing: Sendable {
  private var times: [Int] = []
  /// The index of the oldest time once the ring is full.
  private var start = 0
  /// The time of an admission of which half was given back. It counts once there is a second one.
  private var half: Int?

  var last: Int? { [times.isEmpty ? nil : time(times.count - 1), half].compactMap { $0 }.max() }

  private func time(_ index: Int) -> Int { times[(start + index) % times.count] }

  /// Returns how many of the oldest times have expired at `now`. Times only increase, so it uses binary search.
  private func gone(_ limit: RateLimit, at now: Int) -> Int {
    var (low, high) = (0, times.count)
    while low < high {
      let middle = (low + high) / 2
      if now - time(middle) >= limit.milliseconds { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// `callerTime` is the time on the caller's clock; `resetsIn` is relative to it.
  func judge(_ limit: RateLimit, at now: Int, callerTime: Int) -> RateVerdict {
    let gone = gone(limit, at: now)
    let used = times.count - gone
    let resetsIn = used == 0 ? limit.milliseconds : time(gone) + limit.milliseconds - callerTime
    return RateVerdict(
      isAllowed: used < limit.count, limit: limit, remaining: limit.count - used, resetsIn: resetsIn, countedAt: now)
  }

  mutating func admit(_ limit: RateLimit, at now: Int, callerTime: Int) -> RateVerdict {
    let before = judge(limit, at: now, callerTime: callerTime)
    guard before.isAllowed else { return before }
    if times.count < limit.count {
      times.append(now)
    } else {
      times[start] = now
      start = (start + 1) % times.count
    }
    // If no admission was active before, this one is the next to expire, one whole period from now.
    let resetsIn = before.remaining == limit.count ? now + limit.milliseconds - callerTime : before.resetsIn
    return RateVerdict(
      isAllowed: true, limit: limit, remaining: before.remaining - 1, resetsIn: resetsIn, countedAt: now)
  }

  mutating func giveBack(_ time: Int, half isHalf: Bool, _ limit: RateLimit) {
    guard let index = times.indices.last(where: { self.time($0) == time }) else { return }
    if isHalf {
      // With this half, an earlier one makes a whole admission.
      if let half, time - half < limit.milliseconds {
        self.half = nil
        return
      }
      half = time
    }
    times = times.indices.map { self.time($0) }
    start = 0
    times.remove(at: index)
  }
}
