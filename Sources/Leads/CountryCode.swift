import Synchronization

/// What is known of the national numbers of a country code. The numbering plans are the data of libphonenumber.
struct CountryCode: Sendable {
  let code: Substring
  /// Bit n is set if a national number may have n digits.
  private let lengths: UInt32
  /// The prefix that is dialled only within the country: 0 in most, 8 in Russia, 1 in North America.
  private let trunk: Substring
  /// Beginnings of national numbers that look like a trunk prefix or like the country code, with the numbers' lengths.
  private let kept: [(beginning: Substring, lengths: UInt32)]

  /// The codes that this process has looked up, by the first three digits of the number: no code is longer. Most leads
  /// of an agency are from a few countries.
  private static let known = Mutex<[String: CountryCode?]>([:])

  /// Returns the country code at the beginning of `digits`. Nil if there is none.
  static func of(_ digits: String) -> CountryCode? {
    guard digits.utf8.count >= 3 else { return CountryCode(readFor: digits) }
    let beginning = String(digits.prefix(3))
    if let known = known.withLock({ $0[beginning] }) { return known }
    let found = CountryCode(readFor: beginning)
    known.withLock { $0[beginning] = .some(found) }
    return found
  }

  private init?(readFor digits: String) {
    guard let fields = Self.line(of: digits)?.split(separator: " ") else { return nil }
    code = fields[0]
    lengths = Self.bits(fields[1])
    trunk = fields[2]
    kept = fields[3...].map { field in
      let parts = field.split(separator: ":")
      return (parts[0], Self.bits(parts[1]))
    }
  }

  /// Returns the line of the code at the beginning of `digits`. No country code begins with another one. Compares bytes
  /// in place, because this runs for every lead.
  private static func line(of digits: String) -> Substring? {
    let range = table.utf8.withContiguousStorageIfAvailable { bytes -> Range<Int>? in
      var start = 0
      while start < bytes.count {
        let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        if digits.utf8.starts(with: bytes[start..<end].prefix { $0 != UInt8(ascii: " ") }) { return start..<end }
        start = end + 1
      }
      return nil
    }
    guard let range = range ?? nil else { return nil }
    let utf8 = table.utf8
    let first = utf8.index(utf8.startIndex, offsetBy: range.lowerBound)
    return table[first..<utf8.index(first, offsetBy: range.count)]
  }

  /// Returns the national number in `digits`, which follow the country code, without what people write before it and
  /// nobody abroad can dial: a trunk prefix (`+44 0161 …`), or the country code once more (`+971 971 50…`). Italy's
  /// numbers keep their 0.
  func nationalNumber(_ digits: Substring) -> Substring {
    var number = digits
    while !kept.contains(where: { number.hasPrefix($0.beginning) && Self.has($0.lengths, number.count) }) {
      if let rest = number.without("00" + code) ?? number.without(code), Self.has(lengths, rest.count) {
        number = rest
      } else if let rest = number.without(trunk) ?? number.without("0"), rest.count >= lengths.trailingZeroBitCount {
        number = rest
      } else {
        break
      }
    }
    return number
  }

  private static func has(_ lengths: UInt32, _ length: Int) -> Bool { length < 32 && lengths >> length & 1 == 1 }

  /// Reads lengths: `6-12` or `7,9-10`.
  private static func bits(_ text: Substring) -> UInt32 {
    text.split(separator: ",").reduce(0) { bits, part in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      return (ends[0]...ends[ends.count - 1]).reduce(bits) { $0 | 1 << $1 }
    }
  }
}

extension Substring {
  fileprivate func without(_ prefix: some StringProtocol) -> Substring? {
    hasPrefix(prefix) ? dropFirst(prefix.count) : nil
  }
}
