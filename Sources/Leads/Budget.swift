/// A budget as people write it.
package enum Budget {
  /// The largest amount in a text: `AED 1.5M - 2M` is 2,000,000, `80,000 / year` is 80,000, `٢ مليون` is 2,000,000; nil
  /// without a number. Amounts are taken as dirhams, whatever currency stands beside them.
  package static func amount(in text: String) -> Double? {
    var amounts: [Double] = []
    var rest = Array(text.lowercased().unicodeScalars)[...]
    while !rest.isEmpty {
      let number = rest.prefix { digit($0) != nil || separators.contains($0) }
      guard number.contains(where: { digit($0) != nil }) else {
        rest = rest.dropFirst(max(1, number.count))
        continue
      }
      rest = rest.dropFirst(number.count)
      let word = rest.drop { $0 == " " || $0 == "\u{A0}" }.prefix { $0.properties.isAlphabetic }
      let unit = units[String(String.UnicodeScalarView(word))]
      // `3br` and `1500sqft` are no amounts.
      let isJoined = rest.first?.properties.isAlphabetic == true
      if unit != nil || !isJoined, let value = value(Array(number), hasUnit: unit != nil) {
        amounts.append(value * (unit ?? 1))
      }
    }
    return amounts.max()
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

  /// The number in digits of any script. A separator that stands once, not before exactly three digits, is a decimal
  /// point; so is the point of `1.500 million`, and the last of two kinds. All others part thousands.
  private static func value(_ scalars: [Unicode.Scalar], hasUnit: Bool) -> Double? {
    var ended = scalars
    while let last = ended.last, separators.contains(last) { ended.removeLast() }
    let marks = ended.indices.filter { separators.contains(ended[$0]) }
    var decimal = marks.last
    if let last = marks.last {
      let digitsBehind = ended.count - last - 1
      let isOnly = marks.count == 1
      let isOtherKind = marks.dropLast().allSatisfy { ended[$0] != ended[last] }
      let isPoint = ended[last] == "." || ended[last] == "\u{66B}"
      if isOnly ? digitsBehind == 3 && !(isPoint && hasUnit) : !isOtherKind { decimal = nil }
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
