import Glibc

/// A moment in milliseconds since 1970-01-01T00:00:00Z. All our documents use this unit. Waits and deadlines inside a
/// process use moments of the steady clock instead, which no change of the time of day moves.
package struct Instant: Sendable, Hashable, Comparable {
  package let milliseconds: Int

  package init(milliseconds: Int) { self.milliseconds = milliseconds }

  /// The current time of the wall clock.
  package static var now: Instant {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Instant(milliseconds: time.tv_sec * 1000 + time.tv_nsec / 1_000_000)
  }

  /// The current time of the steady clock, in milliseconds since the machine's start. Compare it only with other
  /// moments of this clock.
  package static var steady: Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(milliseconds: time.tv_sec * 1000 + time.tv_nsec / 1_000_000)
  }

  /// The moment on the steady clock that is as far from its present as this one is from the wall clock's.
  package var onSteadyClock: Instant {
    Instant(milliseconds: milliseconds - Self.now.milliseconds + Self.steady.milliseconds)
  }

  /// The moment on the wall clock that is as far from its present as this one is from the steady clock's.
  package var onWallClock: Instant {
    Instant(milliseconds: milliseconds - Self.steady.milliseconds + Self.now.milliseconds)
  }

  package static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

  package func adding(milliseconds count: Int) -> Instant { Instant(milliseconds: milliseconds + count) }

  package func adding(seconds: Int) -> Instant { Instant(milliseconds: milliseconds + seconds * 1000) }

  /// Whole seconds from `start` to this moment; negative when `start` is later.
  package func seconds(since start: Instant) -> Int { (milliseconds - start.milliseconds) / 1000 }
}

extension Instant {
  /// ISO 8601 in UTC with milliseconds: `2026-11-22T21:00:00.000Z`. Defined for the years 0 to 9999.
  package var iso8601: String {
    let (days, rest) = milliseconds.quotientAndFloorRemainder(by: 86_400_000)
    let (year, month, day) = Self.civil(days)
    let seconds = rest / 1000
    let numbers = [
      (year, 4), (month, 2), (day, 2), (seconds / 3600, 2), (seconds / 60 % 60, 2), (seconds % 60, 2), (rest % 1000, 3),
    ]
    return String(unsafeUninitializedCapacity: 24) { text in
      var index = 0
      for ((number, width), mark) in zip(numbers, "--T::.Z".utf8) {
        var number = number
        for place in stride(from: index + width - 1, through: index, by: -1) {
          text[place] = UInt8(ascii: "0") + UInt8(number % 10)
          number /= 10
        }
        text[index + width] = mark
        index += width + 1
      }
      return index
    }
  }

  /// Reads `YYYY-MM-DDTHH:MM[:SS[.fraction]](Z|±HH:MM|±HHMM|±HH)` within the years 1970 to 9999. Nil for
  /// anything else. Fraction digits after the third are dropped.
  package init?(iso8601 text: String) {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>, _ limits: ClosedRange<Int>) -> Int? {
      guard range.upperBound <= bytes.count, bytes[range].allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
      let value = bytes[range].reduce(0) { $0 * 10 + Int($1) - 0x30 }
      return limits ~= value ? value : nil
    }
    func at(_ index: Int, _ characters: String) -> Bool {
      index < bytes.count && characters.utf8.contains(bytes[index])
    }
    guard let year = number(0..<4, 1970...9999), at(4, "-"), let month = number(5..<7, 1...12), at(7, "-"),
      let day = number(8..<10, 1...31), at(10, "Tt "), let hour = number(11..<13, 0...23), at(13, ":"),
      let minute = number(14..<16, 0...59), Self.civil(Self.days(year, month, day)) == (year, month, day)
    else { return nil }
    var index = 16
    var second = 0
    var fraction = 0
    if at(index, ":") {
      guard let value = number(17..<19, 0...60) else { return nil }
      second = min(value, 59)
      index = 19
      if at(index, ".,") {
        let digits = bytes[(index + 1)...].prefix { 0x30...0x39 ~= $0 }
        guard 1...12 ~= digits.count else { return nil }
        fraction = (Array(digits.prefix(3)) + [0x30, 0x30]).prefix(3).reduce(0) { $0 * 10 + Int($1) - 0x30 }
        index += 1 + digits.count
      }
    }
    var offset = 0
    if at(index, "Zz") {
      index += 1
    } else if at(index, "+-") {
      guard let hours = number(index + 1..<index + 3, 0...14) else { return nil }
      let sign = bytes[index] == UInt8(ascii: "-") ? -1 : 1
      index += 3
      var minutes = 0
      if index < bytes.count {
        if at(index, ":") { index += 1 }
        guard let value = number(index..<index + 2, 0...59) else { return nil }
        minutes = value
        index += 2
      }
      offset = (hours * 60 + minutes) * sign
    } else {
      return nil
    }
    guard index == bytes.count else { return nil }
    let seconds = Self.days(year, month, day) * 86_400 + hour * 3600 + (minute - offset) * 60 + second
    self.init(milliseconds: seconds * 1000 + fraction)
  }

  /// Returns the number of days since 1970-01-01 for a date in the proleptic Gregorian calendar. The calculation uses
  /// eras of 400 years and years that begin in March.
  package static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month > 2 ? year : year - 1
    let (era, yearOfEra) = shifted.quotientAndFloorRemainder(by: 400)
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// Returns the date for a number of days since 1970-01-01: the inverse of `days`.
  package static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
    let (era, dayOfEra) = (days + 719_468).quotientAndFloorRemainder(by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
  }
}

extension Int {
  /// Divides and rounds towards minus infinity, so moments before 1970 fall on the right day.
  package func quotientAndFloorRemainder(by divisor: Int) -> (quotient: Int, remainder: Int) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}
