import Forms
import Wire

/// A phone number in E.164 form: `+`, a country code, at most 15 digits.
package struct PhoneNumber: Sendable, Hashable {
  package let e164: String

  /// The country code assumed for numbers without one: the United Arab Emirates.
  package static let homeCountry = "971"

  /// The length of a national number in the home country, without the country code and trunk 0.
  private static let homeLength = 5...9
  /// A number of this length without a plus must begin with a country code, because no national number is that long.
  private static let internationalLength = 12...15

  /// Reads a number in any common format: `050 123 4567`, `00971-50…`, `tel:+971(0)50…`, `919812345678`, digits of any
  /// script. A trunk 0 is dropped. Nil for letters, extensions, and numbers of ambiguous country (`1 415 555 2671`
  /// without its plus may be American or Chinese).
  package init?(_ text: String) {
    var rest = text.unicodeScalars[...]
    if text.prefix(4).lowercased() == "tel:" { rest = rest.dropFirst(4) }
    var digits = ""
    var isInternational = false
    for scalar in Self.withoutTrunkZero(rest) {
      if let digit = Self.digit(scalar) {
        digits += String(digit)
      } else if scalar == "+" || scalar == "\u{FF0B}" {
        guard digits.isEmpty, !isInternational else { return nil }
        isInternational = true
      } else if !Self.isSeparator(scalar) {
        return nil
      }
    }
    if !isInternational, digits.hasPrefix("00") {
      digits.removeFirst(2)
      isInternational = true
    }
    if !isInternational {
      let hasTrunkZero = digits.hasPrefix("0")
      if hasTrunkZero { digits.removeFirst() }
      if Self.homeLength ~= digits.count {
        digits = Self.homeCountry + digits
      } else if !digits.hasPrefix(Self.homeCountry), hasTrunkZero || !(Self.internationalLength ~= digits.count) {
        return nil
      }
    }
    if digits.hasPrefix(Self.homeCountry) {
      let home = digits.dropFirst(Self.homeCountry.count)
      let number = home.hasPrefix("0") ? home.dropFirst() : home
      guard Self.homeLength ~= number.count else { return nil }
      digits = Self.homeCountry + number
    }
    guard 7...15 ~= digits.count, digits.first != "0" else { return nil }
    e164 = "+" + digits
  }

  /// Removes a 0 in parentheses, as in `+44 (0)20`. It is dialled only within the country.
  private static func withoutTrunkZero(_ text: String.UnicodeScalarView.SubSequence) -> [Unicode.Scalar] {
    var scalars = Array(text)
    guard scalars.contains("+") || scalars.contains("\u{FF0B}") || scalars.starts(with: ["0", "0"]),
      let open = scalars.firstIndex(of: "("), let close = scalars.firstIndex(of: ")"), open < close,
      scalars[open...close].compactMap(digit) == [0]
    else { return scalars }
    scalars.removeSubrange(open...close)
    return scalars
  }

  /// Returns the value of a decimal digit of any script. People also type Arabic-Indic and full-width digits.
  private static func digit(_ scalar: Unicode.Scalar) -> Int? {
    if ("0"..."9").contains(scalar) { return Int(scalar.value) - 0x30 }
    guard !scalar.isASCII, scalar.properties.numericType == .decimal, let value = scalar.properties.numericValue else {
      return nil
    }
    return Int(value)
  }

  private static func isSeparator(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case " ", "\u{A0}", "\u{202F}", "-", "\u{2010}", "\u{2011}", "\u{2013}", "(", ")", ".", "/": true
    // Direction marks in copied Arabic numbers, and invisible spaces.
    case "\u{200B}"..."\u{200F}", "\u{202A}", "\u{202C}", "\u{2060}", "\u{2066}", "\u{2069}", "\u{FEFF}": true
    default: false
    }
  }
}

extension PhoneNumber: FormValue {
  package var document: JSON { .string(e164) }
}

extension Rule where Value == PhoneNumber {
  /// A phone number in any common format.
  package static var phone: Rule {
    let text = Rule<String>.text(5...32)
    let schema: JSON = [
      "type": "string", "minLength": 5, "maxLength": 32, "format": "phone",
      "description": "Phone number in any common format",
    ]
    return Rule(schema) { json, error in
      guard let text = text.read(json, &error) else { return nil }
      return PhoneNumber(text) ?? error.refuse(.invalidPhone)
    }
  }
}
