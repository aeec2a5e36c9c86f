/// A sample customer: a name, and contact details that belong to no real person.
struct Person {
  let name: String
  /// The given name, for greetings in a chat.
  let givenName: String
  let writesArabic: Bool
  let phone: String
  let email: String

  init(_ random: inout SplitMix64) {
    let community = random.pick(weighted: Community.all)
    let given = random.pick(community.given)
    let family = random.pick(community.family)
    givenName = given.written
    let parts = community.familyFirst ? [family, given] : [given, family]
    name = parts.map(\.written).joined(separator: community.separator)
    writesArabic = community.writesArabic
    phone = Self.phone(&random)
    email = Self.email(given.latin, family.latin, &random)
  }

  /// Returns an address in a domain that RFC 2606 and RFC 6761 reserve for examples and tests. The digits distinguish
  /// people with the same name: with the same address they would be one customer.
  private static func email(_ given: String, _ family: String, _ random: inout SplitMix64) -> String {
    let (given, family) = (mailLetters(given), mailLetters(family))
    let number = random.digits(4)
    let box =
      switch random.below(6) {
      case 0: given + family + number
      case 1: given + "_" + family + number
      case 2: given + "." + family + "+dubai" + number
      case 3: family + "-" + number
      default: given + "." + family + number
      }
    return box + "@"
      + random.pick(["example.com", "example.com", "example.org", "example.net", "mail.test", "Example.COM"])
  }

  /// Returns only the ASCII letters, in lower case.
  private static func mailLetters(_ latin: String) -> String {
    String(decoding: latin.utf8.map { $0 | 0x20 }.filter { 0x61...0x7A ~= $0 }, as: UTF8.self)
  }

  /// Returns a phone number that nobody has. Foreign numbers are from ranges that regulators reserve for fiction: Ofcom
  /// 07700 900xxx and 020 7946 0xxx, NANP 555-01xx, ARCEP 06 39 98 xx xx. The Emirates reserve none: these numbers are
  /// from ranges that no operator has (mobile codes 051, 057 and 059, numbers in Dubai that begin with 1), by
  /// libphonenumber's table 9.0.
  private static func phone(_ random: inout SplitMix64) -> String {
    switch random.below(100) {
    case 0..<76: return home(random.pick(["51", "57", "59"]), random.digits(3), random.digits(4), &random)
    case 76..<82: return home("4", "1" + random.digits(2), random.digits(4), &random)
    case 82..<88:
      let last = "900" + random.digits(3)
      return random.pick(["+44 7700 \(last)", "0044 7700 \(last)", "+44 (0)7700 \(last)", "+447700\(last)"])
    case 88..<91: return random.pick(["+44 20 7946 0", "+44 (0)20 7946 0", "0044-20-7946-0"]) + random.digits(3)
    case 91..<96:
      let area = random.pick(["212", "310", "416"])
      let last = "01" + random.digits(2)
      return random.pick(["+1 (\(area)) 555-\(last)", "+1-\(area)-555-\(last)", "001 \(area) 555 \(last)"])
    default:
      return random.pick(["+33 6 39 98 ", "0033 6 39 98 ", "+33.6.39.98."]) + random.digits(2) + " " + random.digits(2)
    }
  }

  /// Returns a number of the Emirates in one of its common formats.
  private static func home(_ code: String, _ first: String, _ last: String, _ random: inout SplitMix64) -> String {
    switch random.below(16) {
    case 0, 1: "+971\(code)\(first)\(last)"
    case 2, 3: "+971 \(code) \(first) \(last)"
    case 4: "+971-\(code)-\(first)-\(last)"
    case 5: "00971\(code)\(first)\(last)"
    case 6: "00971 \(code) \(first) \(last)"
    case 7: "0\(code)\(first)\(last)"
    case 8: "0\(code) \(first) \(last)"
    case 9: "(0\(code)) \(first)-\(last)"
    case 10: "+971 (0)\(code) \(first) \(last)"
    case 11: "tel:+971-\(code)-\(first)-\(last)"
    case 12: digits("0\(code)\(first)\(last)", zero: 0x0660)
    case 13: digits("0\(code) \(first) \(last)", zero: 0x06F0)
    case 14: "＋" + digits("971\(code)\(first)\(last)", zero: 0xFF10)
    default: "\u{202A}+971 \(code) \(first) \(last)\u{202C}"
    }
  }
}

/// Replaces ASCII digits by those of another script, given by its zero: U+0660 Arabic-Indic, U+06F0 Persian, U+FF10
/// full-width.
func digits(_ text: String, zero: UInt32) -> String {
  var scalars = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    let isDigit = 0x30...0x39 ~= scalar.value
    scalars.append(isDigit ? Unicode.Scalar(zero + scalar.value - 0x30) ?? scalar : scalar)
  }
  return String(scalars)
}
