import Wire

/// The agency's office hours: opening times for each weekday, in local time.
package struct OfficeHours: Sendable {
  /// In minutes since midnight.
  private typealias Opening = Range<Int>

  /// The openings of each day from Monday, in order.
  private let week: [[Opening]]
  /// Returns the offset of local time from UTC at a moment, in seconds.
  private let offset: @Sendable (Instant) -> Int

  /// Reads `Mon-Fri 09:00-18:30, Sat 10:00-15:00`: items of a day or a range of days and an opening. A day may occur in
  /// several items. Write hours that run past midnight as two openings. The hours must add up to at least one hour a
  /// week.
  package init(_ text: String, offset: @escaping @Sendable (Instant) -> Int) throws(OfficeHoursError) {
    var week = [[Opening]](repeating: [], count: 7)
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let words = part.split(separator: " ")
      guard words.count == 2, let days = Self.days(words[0]), let opening = Self.opening(words[1]) else {
        throw OfficeHoursError(reason: "must have the form `Mon-Fri 09:00-18:30, Sat 10:00-15:00`")
      }
      for day in days {
        guard !week[day].contains(where: opening.overlaps) else {
          throw OfficeHoursError(reason: "has hours of one day that overlap")
        }
        week[day].append(opening)
      }
    }
    guard week.joined().reduce(0, { $0 + $1.count }) >= 60 else {
      throw OfficeHoursError(reason: "must cover at least one hour per week")
    }
    self.week = week.map { $0.sorted { $0.lowerBound < $1.lowerBound } }
    self.offset = offset
  }

  /// Returns the moment at which `seconds` of office hours have passed since `start`.
  package func adding(seconds: Int, to start: Instant) -> Instant {
    intervals(seconds: seconds, from: start).last?.upperBound ?? start
  }

  /// Returns the open intervals from `start` on, until they add up to `seconds`.
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

  /// Returns the moment at which the local clock shows a day and minute: the first one if it occurs twice. A minute
  /// that is skipped when the clock is set forward maps to the moment of that change.
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

  /// Parses `Sat`, `Mon-Fri`, `Sun-Thu`.
  private static func days(_ text: Substring) -> [Int]? {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map {
      names.firstIndex(of: $0.lowercased())
    }
    guard 1...2 ~= ends.count, let first = ends[0], let last = ends[ends.count - 1] else { return nil }
    return (0...(last - first + 7) % 7).map { (first + $0) % 7 }
  }

  /// Parses `09:00-18:30`. A day ends at 24:00.
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

/// Why a string is not valid office hours.
package struct OfficeHoursError: Error, Sendable, Equatable {
  /// The end of a sentence that begins with the setting's name.
  package let reason: String
}
