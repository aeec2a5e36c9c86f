import Forms
import Wire

/// A phone number in E.164 form: `+`, a country code, at most 15 digits. An extension is kept beside it: it cannot be
/// dialled as part of the number and does not identify the customer.
package struct PhoneNumber: Sendable, Hashable {
  package let e164: String
  /// At most seven digits. Nil if there is none.
  package let phoneExtension: String?

  /// The country code assumed for numbers without one: the United Arab Emirates.
  package static let homeCountry = "971"

  /// The length of a national number in the home country, without the country code and trunk 0.
  private static let homeLength = 5...9
  /// A number of this length without a plus must begin with a country code, because no national number is that long.
  private static let internationalLength = 12...15

  /// Reads a number in any common format: `050 123 4567`, `00971-50…`, `tel:+971(0)50…`, `919812345678`,
  /// `04 123 4567 ext. 12`, digits of any script. A trunk prefix and a repeated country code are dropped. Nil for
  /// letters and numbers of ambiguous country (`1 415 555 2671` without its plus may be American or Chinese).
  package init?(_ text: String) {
    let isURI = text.prefix(4).lowercased() == "tel:"
    let plain = isURI ? Self.withoutParameters(String(text.dropFirst(4))) : text
    var rest = plain.unicodeScalars[...]
    (rest, phoneExtension) = Self.withoutExtension(rest)
    var digits = ""
    var isInternational = false
    for scalar in rest {
      if let digit = Self.digit(scalar) {
        digits += String(digit)
      } else if scalar == "+" || scalar == "\u{FF0B}" {
        guard digits.isEmpty, !isInternational else { return nil }
        isInternational = true
      } else if !Self.isSeparator(scalar) {
        return nil
      }
    }
    // Some people write both: `+00971 50…`.
    if digits.hasPrefix("00") {
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
    if let country = CountryCode(of: digits) {
      let number = country.nationalNumber(digits.dropFirst(country.code.count))
      guard country.code != Self.homeCountry || Self.homeLength ~= number.count else { return nil }
      digits = String(country.code + number)
    }
    guard 7...15 ~= digits.count, digits.first != "0" else { return nil }
    e164 = "+" + digits
  }

  /// Returns the number of a tel URI (RFC 3966): a local number follows the country code in its `;phone-context=`, `;ext=`
  /// stays, and other parameters are left out.
  private static func withoutParameters(_ text: String) -> String {
    let parts = text.split(separator: ";")
    let context = parts.first { $0.lowercased().hasPrefix("phone-context=+") }?.dropFirst("phone-context=".count) ?? ""
    let kept = parts.dropFirst().filter { $0.lowercased().hasPrefix("ext=") }.map { ";" + $0 }
    return context + (parts.first ?? "") + kept.joined()
  }

  /// What people write before an extension. `;ext=` is that of RFC 3966, a comma a pause in dialling.
  private static let extensionMarks = [
    ";ext=", "extension", "extn", "ext", "x", "#", ",", "int", "доб", "تحويلة", "داخلي",
  ]

  /// Splits `04 123 4567 ext. 12` into the number and the extension.
  private static func withoutExtension(
    _ text: String.UnicodeScalarView.SubSequence
  ) -> (String.UnicodeScalarView.SubSequence, String?) {
    let isFiller = { (scalar: Unicode.Scalar) in isSeparator(scalar) || scalar == ":" }
    let end = text.lastIndex { !isSeparator($0) }.map { text.index(after: $0) } ?? text.endIndex
    let number = text[..<end]
    let digits = number.reversed().prefix { digit($0) != nil }
    var rest = number.dropLast(digits.count)
    let hasFiller = rest.last.map(isFiller) == true
    while let last = rest.last, isFiller(last) { rest.removeLast() }
    let written = String(rest).lowercased()
    guard 1...7 ~= digits.count, let mark = extensionMarks.first(where: { written.hasSuffix($0) }),
      // `050,1234567` is not a number with an extension, `050,,12` is: only an extension follows a pause.
      mark != "," || (!hasFiller && written.hasSuffix(",,")),
      // A letter before the mark makes it part of a word.
      let before = written.dropLast(mark.count).last(where: { $0 != "," && $0 != " " && $0 != "." }),
      !before.isLetter, before != ";"
    else { return (text, nil) }
    var kept = String.UnicodeScalarView(rest.dropLast(mark.unicodeScalars.count))
    while let last = kept.last, last == "," || last == "." || isSeparator(last) { kept.removeLast() }
    return (kept[...], String(digits.reversed().compactMap { digit($0).map { Character(String($0)) } }))
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
    let text = Rule<String>.text(5...50)
    let schema: JSON = [
      "type": "string", "minLength": 5, "maxLength": 50, "format": "phone",
      "description": "Phone number in any common format",
    ]
    return Rule(schema) { json, error in
      guard let text = text.read(json, &error) else { return nil }
      return PhoneNumber(text) ?? error.refuse(.invalidPhone)
    }
  }
}
