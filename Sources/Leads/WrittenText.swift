/// A text split into numbers, words and marks, folded for comparison with the tables of rules.
struct WrittenText {
  enum Kind { case number, word, mark }

  struct Token {
    let kind: Kind
    /// The folded text. A number has ASCII digits, `.`, `,` and `'`.
    let text: String
    /// The place in the source.
    let range: Range<Int>
    /// The number of blanks before it.
    let gap: Int
  }

  let tokens: [Token]
  private let source: [Unicode.Scalar]

  init(_ text: String) {
    source = Array(text.unicodeScalars)
    tokens = Self.tokens(source)
  }

  /// Returns the source text of some tokens.
  func text(of range: Range<Int>) -> String {
    guard !range.isEmpty else { return "" }
    let places = tokens[range.lowerBound].range.lowerBound..<tokens[range.upperBound - 1].range.upperBound
    return String(String.UnicodeScalarView(source[places]))
  }

  private static func tokens(_ source: [Unicode.Scalar]) -> [Token] {
    var tokens: [Token] = []
    var gap = 0
    var at = 0
    while at < source.count {
      let start = at
      let scalar = source[at]
      if isInvisible(scalar) {
        at += 1
      } else if isBlank(scalar) {
        gap += 1
        at += 1
      } else {
        let token: (kind: Kind, text: String)
        let isStart = tokens.isEmpty || gap > 0
        if digit(scalar) != nil || fractions[scalar] != nil
          || isStart && scalar == "." && at + 1 < source.count && digit(source[at + 1]) != nil
        {
          token = (.number, number(source, &at))
        } else if isLetter(scalar) {
          token = (.word, word(source, &at))
        } else {
          at += 1
          token = (.mark, mark(scalar))
        }
        tokens.append(Token(kind: token.kind, text: token.text, range: start..<at, gap: gap))
        gap = 0
      }
    }
    return tokens
  }

  /// Reads digits with the separators between them: `1,500.25`, `٨٠٬٠٠٠`, `1’500’000`, `2½`.
  private static func number(_ source: [Unicode.Scalar], _ at: inout Int) -> String {
    var text = ""
    while at < source.count {
      if let digit = digit(source[at]) {
        text.append(Character(Unicode.Scalar(UInt8(0x30 + digit))))
      } else if let fraction = fractions[source[at]] {
        at += 1
        return text.utf8.allSatisfy { $0 >= 0x30 } ? (text.isEmpty ? "0" : text) + fraction : text
      } else if let separator = separators[source[at]], at + 1 < source.count, digit(source[at + 1]) != nil {
        text += text.isEmpty ? "0\(separator)" : separator
      } else if !isInvisible(source[at]) {
        break
      }
      at += 1
    }
    return text
  }

  /// Reads letters with their marks. A letter that is repeated for emphasis counts once: `urgenttt`. An apostrophe
  /// inside a word is dropped: `don't` is `dont`.
  private static func word(_ source: [Unicode.Scalar], _ at: inout Int) -> String {
    var text = String.UnicodeScalarView()
    var last: Unicode.Scalar?
    var repeats = 0
    while at < source.count {
      let scalar = source[at]
      if isLetter(scalar) {
        let letter = folded(scalar)
        repeats = letter == last ? repeats + 1 : 1
        last = letter
        if repeats == 3, text.last == letter { text.removeLast() }
        // No table has words of more than 32 letters.
        if repeats < 3, text.count < 33 { text.append(letter) }
      } else if scalar == "'" || scalar == "\u{2019}" {
        guard at + 1 < source.count, isLetter(source[at + 1]) else { break }
      } else if !isInvisible(scalar) && !isMark(scalar) {
        break
      }
      at += 1
    }
    return String(text)
  }

  private static func mark(_ scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\u{2010}"..."\u{2015}", "\u{2212}": "-"
    case "\u{D7}": "x"
    case "\u{60C}", "\u{61B}", "\u{3001}", "\u{FF0C}": ","
    case "\u{61F}": "?"
    case "\u{66A}": "%"
    case "\u{2028}", "\u{2029}", "\r": "\n"
    default: String(Character(scalar))
    }
  }

  // MARK: - Scalars

  private static let separators: [Unicode.Scalar: String] = [
    ",": ",", ".": ".", "'": "'", "\u{2018}": "'", "\u{2019}": "'", "\u{2BC}": "'", "`": "'", "\u{B4}": "'", "_": "'",
    "\u{66B}": ".", "\u{66C}": ",", "\u{60C}": ",", "\u{FF0C}": ",", "\u{FF0E}": ".",
  ]
  private static let fractions: [Unicode.Scalar: String] = ["\u{BC}": ".25", "\u{BD}": ".5", "\u{BE}": ".75"]

  /// Returns the value of a decimal digit of any script.
  private static func digit(_ scalar: Unicode.Scalar) -> Int? {
    if ("0"..."9").contains(scalar) { return Int(scalar.value) - 0x30 }
    guard !scalar.isASCII, !isArabicLetter(scalar), scalar.properties.numericType == .decimal,
      let value = scalar.properties.numericValue
    else {
      return nil
    }
    return Int(value)
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      ? ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
      : isArabicLetter(scalar) || scalar.properties.isAlphabetic && !isMark(scalar)
  }

  /// The common letters, because Unicode's properties are slow to look up.
  private static func isArabicLetter(_ scalar: Unicode.Scalar) -> Bool {
    0x621...0x63A ~= scalar.value || 0x641...0x64A ~= scalar.value
  }

  private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    !scalar.isASCII && scalar.properties.isGraphemeExtend || scalar == "\u{640}"
  }

  /// Direction marks, invisible spaces, and the marks of symbols and letters that stand alone.
  private static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
    !scalar.isASCII && !isArabicLetter(scalar) && (scalar.properties.generalCategory == .format || isMark(scalar))
  }

  private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      ? scalar == " " || scalar == "\t"
      : !isArabicLetter(scalar) && scalar.properties.generalCategory == .spaceSeparator
  }

  /// Returns the lower case of a letter, with one form of the Arabic letters that people interchange.
  private static func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    switch scalar {
    case "A"..."Z": Unicode.Scalar(UInt8(scalar.value + 0x20))
    case "a"..."z": scalar
    case "أ", "إ", "آ", "ٱ": "ا"
    case "ى", "ی": "ي"
    case "ة": "ه"
    case "ک": "ك"
    case "\u{FF21}"..."\u{FF3A}": Unicode.Scalar(UInt8(scalar.value - 0xFF21 + 0x61))
    case "\u{FF41}"..."\u{FF5A}": Unicode.Scalar(UInt8(scalar.value - 0xFF41 + 0x61))
    default: isArabicLetter(scalar) ? scalar : scalar.properties.lowercaseMapping.unicodeScalars.first ?? scalar
    }
  }
}

/// A table of phrases: one or more words and marks, each phrase with a value. The longest phrase wins.
struct PhraseTable<Value: Sendable>: Sendable {
  private typealias Entry = (phrase: [String], value: Value)
  private var byFirst: [String: [Entry]] = [:]
  private var byLast: [String: [Entry]] = [:]

  init(_ rows: [(value: Value, phrases: [String])]) {
    let count = rows.reduce(0) { $0 + $1.phrases.count }
    byFirst.reserveCapacity(count)
    byLast.reserveCapacity(count)
    for row in rows {
      for phrase in row.phrases {
        let isPlain = phrase.utf8.allSatisfy { 0x61...0x7A ~= $0 }
        let words = isPlain ? [phrase] : WrittenText(phrase).tokens.map(\.text)
        guard let first = words.first, let last = words.last else { continue }
        Self.insert((words, row.value), into: &byFirst[first, default: []])
        Self.insert((words, row.value), into: &byLast[last, default: []])
      }
    }
  }

  private static func insert(_ entry: Entry, into entries: inout [Entry]) {
    entries.insert(entry, at: entries.firstIndex { $0.phrase.count < entry.phrase.count } ?? entries.count)
  }

  subscript(word: String) -> Value? { byFirst[word]?.first { $0.phrase.count == 1 }?.value }

  func contains(_ word: String) -> Bool { self[word] != nil }

  /// Returns the phrase that begins at a token.
  /// - Parameter first: replaces the text of that token.
  func match(_ tokens: [WrittenText.Token], at start: Int, first: String? = nil) -> (value: Value, end: Int)? {
    guard start < tokens.count else { return nil }
    return byFirst[first ?? tokens[start].text]?.first { entry in
      start + entry.phrase.count <= tokens.count
        && entry.phrase.indices.dropFirst().allSatisfy { tokens[start + $0].text == entry.phrase[$0] }
    }.map { ($0.value, start + $0.phrase.count) }
  }

  /// Returns the phrase that ends before a token.
  func match(_ tokens: [WrittenText.Token], before end: Int) -> (value: Value, start: Int)? {
    guard end > 0 else { return nil }
    return byLast[tokens[end - 1].text]?.first { entry in
      entry.phrase.count <= end
        && entry.phrase.indices.allSatisfy { tokens[end - entry.phrase.count + $0].text == entry.phrase[$0] }
    }.map { ($0.value, end - $0.phrase.count) }
  }
}

extension PhraseTable<Void> {
  init(_ phrases: [String]) { self.init([((), phrases)]) }
}
