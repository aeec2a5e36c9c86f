/// Parses budgets as people write them.
package enum Budget {
  /// Returns the largest amount in a text: `AED 1.5M - 2M` is 2,000,000, `80,000 / year` is 80,000, `٢ مليون` is
  /// 2,000,000. Nil without a number. Amounts are read as dirhams, whatever currency is written next to them.
  package static func amount(in text: String) -> Double? {
    var amounts: [Double] = []
    var rest = Array(text.lowercased().unicodeScalars)[...]
    var previous: Unicode.Scalar = " "
    while let first = rest.first {
      let isPoint = first == "." && previous.properties.isWhitespace
      guard digit(first) != nil || (isPoint && rest.dropFirst().first.flatMap(digit) != nil) else {
        previous = rest.removeFirst()
        continue
      }
      let number = rest.prefix { digit($0) != nil || separators.contains($0) }
      rest = rest.dropFirst(number.count)
      previous = " "
      guard let value = value(Array(number), isMany: { unit(rest) != nil }) else { continue }
      // `3br` and `1500sqft` are not amounts.
      if let factor = unit(rest) {
        amounts.append(value * factor)
      } else if rest.first?.properties.isAlphabetic != true {
        amounts.append(value)
      }
    }
    return amounts.max()
  }

  /// Returns the factor that the word after a number stands for. `m` for metres is not millions: `120 m2`, `50 m from
  /// the metro`.
  private static func unit(_ rest: ArraySlice<Unicode.Scalar>) -> Double? {
    let spaces = rest.prefix { $0 == " " || $0 == "\u{A0}" }
    let word = rest.dropFirst(spaces.count).prefix { $0.properties.isAlphabetic }
    let behind = rest.dropFirst(spaces.count + word.count)
    let name = String(String.UnicodeScalarView(word))
    if name == "m" {
      if let next = behind.first, digit(next) != nil || next == "\u{B2}" { return nil }
      let following = behind.drop { $0 == " " }.prefix { $0.properties.isAlphabetic }
      if !spaces.isEmpty,
        ["from", "away", "walk", "sq", "square"].contains(String(String.UnicodeScalarView(following)))
      {
        return nil
      }
    }
    return units[name]
  }

  private static let separators: Set<Unicode.Scalar> = [",", ".", "'", "\u{66B}", "\u{66C}"]

  private static let units: [String: Double] = {
    let words: [(Double, [String])] = [
      (1e3, ["k", "thousand", "thousands", "ألف", "الف", "آلاف"]), (1e5, ["lakh", "lakhs", "lac"]),
      (1e6, ["m", "mn", "mil", "mln", "mio", "million", "millions", "مليون", "ملايين"]),
      (1e7, ["cr", "crore", "crores"]), (1e9, ["b", "bn", "billion", "مليار"]),
    ]
    return Dictionary(uniqueKeysWithValues: words.flatMap { factor, names in names.map { ($0, factor) } })
  }()

  /// Parses a number in digits of any script. A separator is a decimal point if it occurs once and is not followed by
  /// exactly three digits. So is the point in `1.500 million`, and the last separator if all before it are of another
  /// kind. All others separate thousands.
  private static func value(_ scalars: [Unicode.Scalar], isMany hasUnit: () -> Bool) -> Double? {
    var ended = scalars
    while let last = ended.last, separators.contains(last) { ended.removeLast() }
    let marks = ended.indices.filter { separators.contains(ended[$0]) }
    var decimal = marks.last
    if let last = marks.last {
      let digitsBehind = ended.count - last - 1
      let isOnly = marks.count == 1
      let isOtherKind = marks.dropLast().allSatisfy { ended[$0] != ended[last] }
      let isPoint = ended[last] == "." || ended[last] == "\u{66B}"
      if isOnly ? digitsBehind == 3 && !(isPoint && hasUnit()) : !isOtherKind { decimal = nil }
    }
    var text = ""
    for index in ended.indices {
      if let digit = digit(ended[index]) { text += String(digit) } else if index == decimal { text += "." }
    }
    guard let value = Double(text), value.isFinite else { return nil }
    return value
  }

  private static func digit(_ scalar: Unicode.Scalar) -> Int? {
    guard scalar.properties.numericType == .decimal, let value = scalar.properties.numericValue else { return nil }
    return Int(value)
  }
}
