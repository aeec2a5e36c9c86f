import Wire

/// When the agency's people are there: hours of each weekday on the clock of its place.
package struct OfficeHours: Sendable {
  /// Minutes since midnight.
  private typealias Opening = Range<Int>

  /// From Monday on, each day's openings in order.
  private let week: [[Opening]]
  /// Seconds that the local clock is ahead of UTC at a moment.
  private let offset: @Sendable (Instant) -> Int

  /// Reads `Mon-Fri 09:00-18:30, Sat 10:00-15:00`: a day or days, and an opening on each of them; a day may be named again.
  /// Hours that run past midnight are written as two openings. They must make an hour a week at least.
  package init(_ text: String, offset: @escaping @Sendable (Instant) -> Int) throws(OfficeHoursError) {
    var week = [[Opening]](repeating: [], count: 7)
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let words = part.split(separator: " ")
      guard words.count == 2, let days = Self.days(words[0]), let opening = Self.opening(words[1]) else {
        throw OfficeHoursError(reason: "must be like `Mon-Fri 09:00-18:30, Sat 10:00-15:00`")
      }
      for day in days {
        guard !week[day].contains(where: opening.overlaps) else {
          throw OfficeHoursError(reason: "has hours of one day that overlap")
        }
        week[day].append(opening)
      }
    }
    guard week.joined().reduce(0, { $0 + $1.count }) >= 60 else {
      throw OfficeHoursError(reason: "must make at least an hour a week")
    }
    self.week = week.map { $0.sorted { $0.lowerBound < $1.lowerBound } }
    self.offset = offset
  }

  /// The moment by which so many seconds of office hours have passed since `start`.
  package func adding(seconds: Int, to start: Instant) -> Instant {
    intervals(seconds: seconds, from: start).last?.upperBound ?? start
  }

  /// The hours in which the office is open from `start` on, until they make so many seconds.
  package func intervals(seconds: Int, from start: Instant) -> [Range<Instant>] {
    var intervals: [Range<Instant>] = []
    var left = seconds * 1000
    var day = Self.floor(start.milliseconds + offset(start) * 1000, 86_400_000)
    while true {
      for opening in week[(day + 3) % 7] {  // 1970-01-01 was a Thursday
        let from = max(moment(day, opening.lowerBound), start)
        let open = moment(day, opening.upperBound).milliseconds - from.milliseconds
        guard open > 0 else { continue }
        intervals.append(from..<Instant(milliseconds: from.milliseconds + min(left, open)))
        if left <= open { return intervals }
        left -= open
      }
      day += 1
    }
  }

  /// The moment at which the local clock shows a day and minute; the first where it shows it twice. A minute that is left
  /// out when the clock is set forward is the moment of that change.
  private func moment(_ day: Int, _ minute: Int) -> Instant {
    let local = Instant(milliseconds: (day * 86_400 + minute * 60) * 1000)
    let (before, after) = (offset(local.adding(seconds: -86_400)), offset(local.adding(seconds: 86_400)))
    let early = local.adding(seconds: -before)
    let late = local.adding(seconds: -after)
    if offset(early) == before { return early }
    if offset(late) == after { return late }
    var range = (late.milliseconds / 1000)..<(early.milliseconds / 1000)
    while range.count > 1 {
      let middle = range.lowerBound + range.count / 2
      let isBefore = offset(Instant(milliseconds: middle * 1000)) == before
      range = isBefore ? middle..<range.upperBound : range.lowerBound..<middle
    }
    return Instant(milliseconds: range.upperBound * 1000)
  }

  private static func floor(_ number: Int, _ divisor: Int) -> Int {
    number / divisor - (number % divisor < 0 ? 1 : 0)
  }

  /// `Sat`, `Mon-Fri`, `Sun-Thu`.
  private static func days(_ text: Substring) -> [Int]? {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map {
      names.firstIndex(of: $0.lowercased())
    }
    guard 1...2 ~= ends.count, let first = ends[0], let last = ends[ends.count - 1] else { return nil }
    return (0...(last - first + 7) % 7).map { (first + $0) % 7 }
  }

  /// `09:00-18:30`; a day ends at 24:00.
  private static func opening(_ text: Substring) -> Opening? {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(minute)
    guard ends.count == 2, let open = ends[0], let close = ends[1], open < close else { return nil }
    return open..<close
  }

  private static func minute(_ text: Substring) -> Int? {
    let bytes = Array(text.utf8)
    guard bytes.count == 5, bytes[2] == UInt8(ascii: ":") else { return nil }
    let digits = [bytes[0], bytes[1], bytes[3], bytes[4]].map { Int($0) - 0x30 }
    guard digits.allSatisfy((0...9).contains), digits[2] < 6 else { return nil }
    let minute = (digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]
    return minute <= 24 * 60 ? minute : nil
  }
}

/// Why a text is no office hours.
package struct OfficeHoursError: Error, Sendable, Equatable {
  /// The end of a sentence that begins with the setting's name.
  package let reason: String
}
