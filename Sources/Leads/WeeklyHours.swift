/// Opening times for each weekday, in local time.
struct WeeklyHours: Sendable {
  /// In minutes since the midnight at which the day begins. A shift that passes midnight ends after minute 1440.
  typealias Opening = Range<Int>

  /// The openings of each day from Monday, in order.
  private let week: [[Opening]]

  /// Reads `Mon-Fri 09:00-18:30, Sat 10:00-15:00`: items of a day or a range of days and an opening. A day may occur in
  /// several items. An opening that ends at or before its beginning, such as `Fri 22:00-02:00`, ends on the next day.
  init(_ text: String) throws(OfficeHoursError) {
    var week = [[Opening]](repeating: [], count: 7)
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let words = part.split(separator: " ")
      guard words.count == 2, let days = Self.days(words[0]), let opening = Self.opening(words[1]) else {
        throw OfficeHoursError(reason: "must have the form `Mon-Fri 09:00-18:30, Sat 10:00-15:00`")
      }
      for day in days { week[day].append(opening) }
    }
    self.week = week.map { $0.sorted { $0.lowerBound < $1.lowerBound } }
    let all = self.week.enumerated().flatMap { day, openings in openings.map { Self.shifted($0, by: day) } }
    let next = all.first.map { [Self.shifted($0, by: 7)] } ?? []
    guard zip(all, all.dropFirst() + next).allSatisfy({ $0.upperBound <= $1.lowerBound }) else {
      throw OfficeHoursError(reason: "has hours that overlap")
    }
  }

  /// The open minutes of a week.
  var minutes: Int { week.joined().reduce(0) { $0 + $1.count } }

  /// Returns the openings that begin on a day, counted from 1970-01-01, which was a Thursday.
  func openings(on day: Int) -> [Opening] { week[((day + 3) % 7 + 7) % 7] }

  private static func shifted(_ opening: Opening, by days: Int) -> Opening {
    opening.lowerBound + days * 1440..<opening.upperBound + days * 1440
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

  /// Parses `09:00-18:30` and `22:00-02:00`. A day ends at 24:00.
  private static func opening(_ text: Substring) -> Opening? {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(minute)
    guard ends.count == 2, let open = ends[0], let close = ends[1], open != close, open < 1440 else { return nil }
    return open..<(open < close ? close : close + 1440)
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

/// Why a string is not valid office hours, or a file no valid calendar.
package struct OfficeHoursError: Error, Sendable, Equatable {
  /// The end of a sentence that begins with the setting's name.
  package let reason: String

  package init(reason: String) { self.reason = reason }
}
