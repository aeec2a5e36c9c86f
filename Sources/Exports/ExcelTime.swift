/// Times as spreadsheets count them: days since 30 December 1899, with the time of day as a fraction.
enum ExcelTime {
  /// Reads `2026-11-28 21:30:00`. Nil for anything else, and for times that Excel cannot show: before March 1900, where
  /// its calendar has a day too many, and after 9999.
  static func serial(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
    guard text.count == 19, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"), text[10] == 0x20,
      text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
      let year = number(text[0..<4]), let month = number(text[5..<7]), let day = number(text[8..<10]),
      let hour = number(text[11..<13]), let minute = number(text[14..<16]), let second = number(text[17..<19]),
      1...12 ~= month, 1...31 ~= day
    else { return nil }
    let days = Self.days(year, month, day)
    guard days >= 61 else { return nil }
    return Double(days) + Double(hour * 3600 + minute * 60 + second) / 86_400
  }

  /// Days since 30 December 1899, in the Gregorian calendar. A year of this count begins in March.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let year = month > 2 ? year : year - 1
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 693_899
  }

  private static func number(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> Int? {
    var value = 0
    for digit in digits {
      guard 0x30...0x39 ~= digit else { return nil }
      value = value * 10 + Int(digit - 0x30)
    }
    return value
  }
}
