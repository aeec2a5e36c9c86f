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

  /// Why a text is no phone number.
  enum Failure: String, Error {
    case noDigits = "it has no digits"
    case otherSigns = "it has letters or signs that are not part of a number"
    case tooShort = "it has too few digits"
    case tooLong = "it has too many digits"
    case unknownCountry = "without a country code, such as +44, its country is unknown"
  }

  /// Nil for a text that `init(reading:)` rejects.
  package init?(_ text: String) { try? self.init(reading: text) }

  /// Reads a number in any common format: `050 123 4567`, `00971-50…`, `tel:+971(0)50…`, `919812345678`,
  /// `04 123 4567 ext. 12`, `WhatsApp: 050…`, digits of any script. A trunk prefix and a repeated country code are
  /// dropped. Rejects other letters and numbers of ambiguous country (`1 415 555 2671` without its plus may be American
  /// or Chinese).
  init(reading text: String) throws(Failure) {
    let isURI = text.prefix(4).lowercased() == "tel:"
    var rest = Self.withoutLabels(isURI ? Self.withoutParameters(String(text.dropFirst(4))) : text)
    (rest, phoneExtension) = Self.withoutExtension(rest)
    var digits = ""
    var isInternational = false
    for scalar in rest {
      if let digit = Self.digit(scalar) {
        digits += String(digit)
      } else if scalar == "+" || scalar == "\u{FF0B}" {
        guard digits.isEmpty, !isInternational else { throw .otherSigns }
        isInternational = true
      } else if !Self.isSeparator(scalar) {
        throw .otherSigns
      }
    }
    if digits.isEmpty { throw .noDigits }
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
        throw digits.count < Self.homeLength.lowerBound ? .tooShort : digits.count > 15 ? .tooLong : .unknownCountry
      }
    }
    if let country = CountryCode.of(digits) {
      let number = country.nationalNumber(digits.dropFirst(country.code.count))
      if country.code == Self.homeCountry {
        if number.count < Self.homeLength.lowerBound { throw .tooShort }
        if number.count > Self.homeLength.upperBound { throw .tooLong }
      }
      digits = String(country.code + number)
    }
    if digits.first == "0" { throw .unknownCountry }
    if digits.count < 7 { throw .tooShort }
    if digits.count > 15 { throw .tooLong }
    e164 = "+" + digits
  }

  /// The words that people write beside a number.
  private static let labels: Set<String> = [
    "cell", "contact", "fon", "gsm", "handy", "home", "m", "mob", "mobile", "my", "no", "number", "ph",
    "phone", "tel", "telefon", "telephone", "wa", "whatsapp", "work", "اتصال", "الجوال", "الهاتف", "تلفون",
    "جوال", "رقم", "رقمي", "محمول", "موبايل", "هاتف", "هاتفي", "واتس", "واتساب", "тел", "телефон",
  ]

  /// Returns the text without labels, quotes, emoji and other signs before and after the number: `📞 Mobile: "050…"`.
  private static func withoutLabels(_ text: String) -> String.UnicodeScalarView.SubSequence {
    var rest = text.unicodeScalars[...]
    while let first = rest.first, first != "+", first != "\u{FF0B}", first.properties.numericType == nil {
      let word = rest.prefix { $0.properties.isAlphabetic }
      guard word.isEmpty || isLabel(word) else { break }
      rest = rest.dropFirst(max(word.count, 1))
    }
    while let last = rest.last, last.properties.numericType == nil {
      let word = rest.reversed().prefix { $0.properties.isAlphabetic }
      guard word.isEmpty || isLabel(word.reversed()) else { break }
      rest = rest.dropLast(max(word.count, 1))
    }
    return rest
  }

  private static func isLabel(_ word: some Sequence<Unicode.Scalar>) -> Bool {
    labels.contains(String(String.UnicodeScalarView(word)).lowercased())
  }

  /// The marks between several numbers.
  private static let betweenNumbers: Set<Unicode.Scalar> = ["/", ",", ";", "|", "&", "\n", "\u{60C}", "\u{61B}"]
  private static let wordsBetweenNumbers: Set<String> = ["and", "or", "أو", "او", "و"]

  /// Returns the first of several numbers, each complete: `050 123 4567 / 055 765 4321`. Nil for one number.
  static func first(ofSeveral text: String) -> PhoneNumber? {
    let words = text.split(separator: " ").map { wordsBetweenNumbers.contains($0.lowercased()) ? ";" : $0 }
    let parts = words.joined(separator: " ").unicodeScalars.split(whereSeparator: betweenNumbers.contains)
    let numbers = parts.compactMap { PhoneNumber(String($0)) }
    return numbers.count > 1 && numbers.count == parts.count ? numbers.first : nil
  }

  /// Returns the number of a tel URI (RFC 3966): a local number follows the country code in its `;phone-context=`,
  /// `;ext=` stays, and other parameters are left out.
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
    case " ", "\t", "\r", "\n", "\u{A0}", "\u{202F}", "-", "\u{2010}", "\u{2011}", "\u{2013}", "(", ")", ".", "/": true
    // The marks that make emoji of digits: 5️⃣.
    case "\u{FE0F}", "\u{20E3}": true
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
  /// A phone number in any common format. Of several numbers the first is used. It may be a JSON number of a length
  /// that needs neither a plus nor a leading 0.
  package static var phone: Rule {
    let text = Rule<String>.text(5...100)
    let numbers = [10_000...999_999_999, 100_000_000_000...999_999_999_999]
    let string: JSON = [
      "type": "string", "minLength": 5, "maxLength": 100, "format": "phone",
      "description": "Phone number in any common format",
    ]
    let integers = numbers.map { range -> JSON in
      ["type": "integer", "minimum": JSON(range.lowerBound), "maximum": JSON(range.upperBound)]
    }
    return Rule(["anyOf": .array([string] + integers)]) { json, errors in
      let number = json.integer.flatMap { number in numbers.contains { $0 ~= number } ? String(number) : nil }
      guard let text = text.read(number.map(JSON.string) ?? json, &errors) else { return nil }
      do throws(PhoneNumber.Failure) { return try PhoneNumber(reading: text) } catch {
        guard let first = PhoneNumber.first(ofSeveral: text) else {
          return errors.refuse(.invalidPhone, ["reason": error.rawValue])
        }
        errors.warn(.severalPhones, aside: .string(text))
        return first
      }
    }
  }
}
