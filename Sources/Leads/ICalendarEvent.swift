import Wire

/// An event of an iCalendar document (RFC 5545), with its properties as written.
struct ICalendarEvent {
  /// A property: `DTSTART;VALUE=DATE:20261202`.
  struct Property {
    let name: String
    let value: String

    /// The value without the escapes of a text (section 3.3.11).
    var text: String {
      var result = ""
      var isEscaped = false
      for character in value {
        if isEscaped {
          result.append("nN".contains(character) ? "\n" : character)
          isEscaped = false
        } else if character == "\\" {
          isEscaped = true
        } else {
          result.append(character)
        }
      }
      return result
    }

    /// The day, if the value is a date: days since 1970-01-01.
    var date: Int? { ICalendarEvent.date(value) }
  }

  /// The number of the line on which it begins.
  private let line: Int
  private var properties: [Property] = []

  private init(line: Int) { self.line = line }

  /// Returns the first property of this name.
  subscript(name: String) -> Property? { properties.first { $0.name == name } }

  func error(_ fault: String) -> OfficeHoursError {
    OfficeHoursError(reason: "contains an event with \(fault) (line \(line))")
  }

  /// Reads the events of a document. All other components are ignored, also those within an event, such as an alarm.
  static func events(in text: String) throws(OfficeHoursError) -> [Self] {
    var events: [Self] = []
    var event: Self?
    var open: [String] = []
    let lines = unfolded(text)
    guard !lines.isEmpty else { throw OfficeHoursError(reason: "is not an iCalendar file: it is empty") }
    for (number, line) in lines {
      guard let property = property(line) else {
        throw OfficeHoursError(reason: "is not an iCalendar file: line \(number) is not a property")
      }
      switch property.name {
      case "BEGIN":
        open.append(property.value.uppercased())
        if open == ["VCALENDAR", "VEVENT"] { event = Self(line: number) }
      case "END":
        guard open.popLast() == property.value.uppercased() else {
          throw OfficeHoursError(reason: "is not an iCalendar file: line \(number) ends what has not begun")
        }
        if open == ["VCALENDAR"], let complete = event {
          events.append(complete)
          event = nil
        }
      default: if open == ["VCALENDAR", "VEVENT"] { event?.properties.append(property) }
      }
      guard open.first ?? "VCALENDAR" == "VCALENDAR", !open.isEmpty || property.name == "END" else {
        throw OfficeHoursError(reason: "is not an iCalendar file: it does not begin with BEGIN:VCALENDAR")
      }
    }
    guard open.isEmpty else { throw OfficeHoursError(reason: "is not a complete iCalendar file: an END is missing") }
    return events
  }

  /// Parses `20261202`.
  static func date(_ text: String) -> Int? {
    let digits = text.utf8.map { Int($0) - 0x30 }
    guard digits.count == 8, digits.allSatisfy((0...9).contains) else { return nil }
    func number(_ range: Range<Int>) -> Int { digits[range].reduce(0) { $0 * 10 + $1 } }
    let (year, month, day) = (number(0..<4), number(4..<6), number(6..<8))
    guard year >= 1970, 1...12 ~= month, 1...31 ~= day else { return nil }
    let days = Instant.days(year, month, day)
    return Instant.civil(days) == (year, month, day) ? days : nil
  }

  /// Joins lines that are folded: those that begin with a blank continue the line before (section 3.1).
  private static func unfolded(_ text: String) -> [(number: Int, line: String)] {
    var lines: [(number: Int, line: String)] = []
    for (index, part) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      if let first = part.first, " \t".contains(first), !lines.isEmpty {
        lines[lines.count - 1].line += part.dropFirst()
      } else if !part.isEmpty {
        lines.append((index + 1, String(part)))
      }
    }
    return lines
  }

  /// Splits a line at its first colon that is not in quotes, and cuts the parameters of the name.
  private static func property(_ line: String) -> Property? {
    var isQuoted = false
    let colon = line.firstIndex { character in
      if character == "\"" { isQuoted.toggle() }
      return character == ":" && !isQuoted
    }
    guard let colon else { return nil }
    let name = line[..<colon].prefix { $0 != ";" }.uppercased()
    return Property(name: name, value: String(line[line.index(after: colon)...]))
  }
}
