import Wire

/// An amount of money or a range, as a customer wrote it. AmountRules has the words. The reader is one file of
/// more than 300 lines because its parts share private types that nothing else needs.
package struct Amount: Sendable, Equatable {
  /// The lower and the upper limit. They are equal for a single amount; `up to 2M` has no minimum.
  package var min: Double?
  package var max: Double?
  /// The ISO 4217 code of the currency. Nil if none is written.
  package var currency: String?
  /// What the amount is for. Nil if no period stands at it.
  package var period: AmountPeriod?
  /// The part of the text that was read.
  package var text: String

  /// The largest amount of the range, for a year if a period is written. It is taken as dirhams, whatever the currency.
  package var value: Double { (max ?? min ?? 0) * (period?.timesInYear ?? 1) }

  /// Reads the amount in a text. Of several, it is the one with the largest value. Nil if there is none.
  package static func read(_ text: String) -> Amount? {
    AmountReader(WrittenText(text)).amounts().max { $0.value < $1.value }
  }
}

/// Finds the amounts in a text: first each number with its currency, unit and period, then the ranges.
private struct AmountReader {
  private struct Candidate {
    var value: Double
    /// The factor of the unit; nil without one.
    var factor: Double?
    var currency: String?
    var period: AmountPeriod?
    /// The tokens of the number and its unit.
    var core: Range<Int>
    /// The tokens of the amount with currency and period.
    var whole: Range<Int>
    /// True for a number of something else: `3 bedrooms`.
    var isCount = false
    var isYear = false
    /// Where the amount begins, if its period is before it.
    var amountStart: Int?
    var start: Int { amountStart ?? whole.lowerBound }

    var amount: Double { value * (factor ?? 1) }
    var isBare: Bool { factor == nil && currency == nil }

    mutating func setPeriod(_ named: AmountPeriod, from begin: Int) {
      period = named
      amountStart = whole.lowerBound
      whole = begin..<whole.upperBound
    }
  }

  private let written: WrittenText
  private let tokens: [WrittenText.Token]

  init(_ written: WrittenText) {
    self.written = written
    tokens = written.tokens
  }

  func amounts() -> [Amount] {
    var found = candidates()
    linkPeriodsBefore(&found)
    return ranges(&found)
  }

  // MARK: - Numbers

  private func candidates() -> [Candidate] {
    var found: [Candidate] = []
    var at = 0
    while at < tokens.count {
      if tokens[at].kind == .number {
        if let end = endOfOtherNumber(at) {
          at = end
        } else if let candidate = candidate(at, after: found.last?.whole.upperBound ?? 0) {
          found.append(candidate)
          at = candidate.whole.upperBound
        } else {
          at += 1
        }
      } else if tokens[at].kind == .word, let candidate = candidateInWords(at, after: found.last?.whole.upperBound ?? 0)
      {
        found.append(candidate)
        at = candidate.whole.upperBound
      } else {
        at += 1
      }
    }
    return found
  }

  /// Reads a number in digits with everything that belongs to it. Nil if it is part of a name, such as `B12`.
  private func candidate(_ start: Int, after last: Int) -> Candidate? {
    guard let (number, end) = number(start) else { return nil }
    // A number that is glued to letters is a name, unless they are a currency or a word such as `upto`.
    if start > last, tokens[start].gap == 0, tokens[start - 1].kind == .word, !isGluedPrefix(start) { return nil }
    return complete(number, start, end, after: last)
  }

  /// Reads a number in words before a unit, or a unit that is an amount itself.
  private func candidateInWords(_ start: Int, after last: Int) -> Candidate? {
    if start > 0, tokens[start - 1].text == "point" { return nil }
    if let (value, end) = numeral(start) {
      let named = AmountRules.fractions.match(tokens, at: end)?.end ?? end
      if unit(named) != nil, tokens[named].text.utf8.count > 1 || value != 1 {
        return complete({ _ in value }, start, end, after: last)
      }
    }
    let word = tokens[start].text
    guard
      let (unit, end) = AmountRules.unitsWithNumber.match(tokens, at: start, first: word)
        ?? withoutPrefix(word).flatMap({ AmountRules.unitsWithNumber.match(tokens, at: start, first: $0) })
    else { return nil }
    var candidate = Candidate(value: unit.number, factor: unit.factor, core: start..<end, whole: start..<end)
    addFraction(&candidate)
    let bareEnd = candidate.core.upperBound
    addSmallerPart(&candidate)
    addCurrency(&candidate, after: last)
    // `ألف شكر` is a thousand thanks.
    if unit.factor < 1e6, candidate.currency == nil, candidate.core.upperBound == bareEnd { return nil }
    addPeriod(&candidate)
    return candidate
  }

  private func complete(_ number: (Bool) -> Double?, _ start: Int, _ numberEnd: Int, after last: Int) -> Candidate? {
    var end = numberEnd
    var factor: Double?
    var half = 0.0
    if let (part, after) = AmountRules.fractions.match(tokens, at: end), unit(after) != nil {
      half = part
      end = after
    }
    var suffix: (currency: String?, period: AmountPeriod?) = (nil, nil)
    if let unit = unit(end) {
      factor = unit.factor
      suffix = (unit.currency, unit.period)
      end += 1
    }
    guard let value = number(factor != nil), (value * (factor ?? 1)).isFinite else { return nil }
    var candidate = Candidate(
      value: value + half, factor: factor, currency: suffix.currency, period: suffix.period, core: start..<end,
      whole: start..<end)
    if factor != nil {
      addFraction(&candidate)
      addSmallerPart(&candidate)
    }
    addCurrency(&candidate, after: last)
    candidate.isCount = isCount(candidate)
    if candidate.period == nil, !candidate.isCount { addPeriod(&candidate) }
    if candidate.whole.lowerBound > last, isReference(candidate) { return nil }
    if !candidate.isCount {
      // Letters that are glued to the number and are none of the above: `3xyz`.
      let behind = candidate.whole.upperBound
      if behind < tokens.count, tokens[behind].kind == .word, tokens[behind].gap == 0,
        tokens[behind - 1].kind == .number,
        AmountRules.adverbs.match(tokens, at: behind) == nil, AmountRules.rangeMarks.match(tokens, at: behind) == nil
      {
        return nil
      }
      candidate.isYear = isYear(candidate)
    }
    return candidate
  }

  /// Joins the groups of a number that are separated by blanks, and returns how to read it, and its end. A number is
  /// read differently if a unit follows. Nil for a version or a date.
  private func number(_ start: Int) -> (read: (Bool) -> Double?, end: Int)? {
    var text = tokens[start].text
    var end = start + 1
    if let (groups, after) = spacedGroups(start) {
      (text, end) = (groups, after)
    } else if Self.isDigits(text), 1...3 ~= text.utf8.count, text.first != "0" {
      while end < tokens.count, tokens[end].kind == .number, tokens[end].gap == 1 {
        let next = tokens[end].text
        let head = next.prefix { $0.isNumber }
        let rest = next.dropFirst(3)
        let isLast = rest.first == "." || rest.first == ","
        guard head.utf8.count == 3, rest.isEmpty || isLast && 2...3 ~= rest.utf8.count else { break }
        text += isLast ? head + "." + rest.dropFirst() : head
        end += 1
        if isLast { break }
      }
    }
    guard Self.value(text, hasUnit: true) != nil else { return nil }
    return ({ Self.value(text, hasUnit: $0) }, end)
  }

  /// Joins groups with a comma and a blank between them, if the last is 000: `1, 500, 000`.
  private func spacedGroups(_ start: Int) -> (text: String, end: Int)? {
    var (text, end) = (tokens[start].text, start + 1)
    guard Self.isDigits(text), text.utf8.count <= 3 else { return nil }
    while end + 1 < tokens.count, tokens[end].text == ",", tokens[end].gap == 0, tokens[end + 1].gap == 1,
      tokens[end + 1].text.utf8.count == 3, Self.isDigits(tokens[end + 1].text)
    {
      text += tokens[end + 1].text
      end += 2
    }
    return end > start + 1 && tokens[end - 1].text == "000" ? (text, end) : nil
  }

  private static func isDigits(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }

  /// Parses a number. A separator is a decimal point if it occurs once and is not followed by exactly three digits. So
  /// is the point in `1.500 million`, and the last separator if all before it are of another kind. All others separate
  /// groups. Nil if the groups have lengths that no one writes: `12.05.2026`.
  private static func value(_ text: String, hasUnit: Bool) -> Double? {
    let parts = text.split(omittingEmptySubsequences: false) { !$0.isNumber }
    let marks = text.filter { !$0.isNumber }
    var decimals: Substring = ""
    var groups = parts
    if let last = marks.last, let end = parts.last {
      let isOnly = marks.count == 1
      let isOtherKind = marks.dropLast().allSatisfy { $0 != last }
      if isOnly ? end.count != 3 || last == "." && hasUnit || parts[0] == "0" : isOtherKind {
        decimals = end
        groups.removeLast()
      }
    }
    if groups.count > 1 {
      let isWhole = groups.last?.count == 3 && groups.dropFirst().dropLast().allSatisfy { 2...3 ~= $0.count }
      // `1,500,00` lacks a digit, but it is no date.
      let isNearly = !marks.contains(".") && groups.dropFirst().allSatisfy { 2...4 ~= $0.count }
      guard groups[0].count <= 3, isWhole || isNearly else { return nil }
    }
    guard let value = Double(groups.joined() + "." + (decimals.isEmpty ? "0" : decimals)), value.isFinite else {
      return nil
    }
    return value
  }

  /// Returns the value of number words: `five hundred`, `ثلاثمئة`.
  private func numeral(_ start: Int) -> (value: Double, end: Int)? {
    let word = tokens[start].text
    guard
      var (value, end) = AmountRules.numerals.match(tokens, at: start)
        ?? withoutPrefix(word).flatMap({ AmountRules.numerals.match(tokens, at: start, first: $0) })
    else { return nil }
    while end < tokens.count, tokens[end].kind == .word {
      var next = end
      if tokens[next].text == "and" || tokens[next].text == "و" { next += 1 }
      guard next < tokens.count,
        let (more, after) = AmountRules.numerals.match(tokens, at: next)
          ?? withoutPrefix(tokens[next].text).flatMap({ AmountRules.numerals.match(tokens, at: next, first: $0) }),
        more >= 2
      else { break }
      // `five hundred` is a product; `خمسة وتسعين` (five and ninety) is a sum, as is `twenty five`.
      value = value < more && more >= 100 ? value * more : value + more
      end = after
    }
    if end < tokens.count, tokens[end].text == "point" {
      var place = 0.1
      while let (digit, after) = AmountRules.numerals.match(tokens, at: place == 0.1 ? end + 1 : end), 1...9 ~= digit {
        value += digit * place
        place /= 10
        end = after
      }
    }
    return (value, end)
  }

  // MARK: - Unit and currency

  /// Reads the unit at a token, with a currency or period that is glued to it: `5MAED`, `12kpcm`.
  private func unit(_ at: Int) -> (factor: Double, currency: String?, period: AmountPeriod?)? {
    guard at < tokens.count, tokens[at].kind == .word, tokens[at].gap <= 1 else { return nil }
    let word = tokens[at].text
    if let factor = AmountRules.units[word] {
      if word == "m" || word == "mm" || word == "mil", isMetres(at) { return nil }
      if word == "b", isBedrooms(at) { return nil }
      return (factor, nil, nil)
    }
    for length in (1...8).reversed() where word.count > length + 1 {
      guard let factor = AmountRules.units[String(word.prefix(length))] else { continue }
      let rest = String(word.dropFirst(length))
      if let currency = AmountRules.currencies[rest] { return (factor, currency, nil) }
      if rest.count >= 2, let period = AmountRules.adverbs[rest] { return (factor, nil, period) }
    }
    return nil
  }

  /// `m` is metres in `120 m2` and `50 m from the metro`.
  private func isMetres(_ at: Int) -> Bool {
    guard at + 1 < tokens.count else { return false }
    let next = tokens[at + 1]
    if next.gap == 0 && (next.kind == .number || next.text == "²") { return true }
    return next.gap > 0 && AmountRules.distance.contains(next.text)
  }

  /// `b` is bedrooms in `3b/r` and `2b villa`.
  private func isBedrooms(_ at: Int) -> Bool {
    guard at + 1 < tokens.count else { return false }
    let next = tokens[at + 1]
    return next.text == "/" || next.kind != .mark && AmountRules.currencies.match(tokens, at: at + 1) == nil
  }

  /// Adds the half of `مليون ونصف` and `2 million and a half`.
  private func addFraction(_ candidate: inout Candidate) {
    guard let (part, end) = AmountRules.fractions.match(tokens, at: candidate.core.upperBound) else { return }
    candidate.value += part
    candidate.core = candidate.core.lowerBound..<end
    candidate.whole = candidate.core
  }

  /// Adds the thousands of `1 million 500 thousand`.
  private func addSmallerPart(_ candidate: inout Candidate) {
    guard let factor = candidate.factor else { return }
    var at = candidate.core.upperBound
    guard at < tokens.count else { return }
    if ["and", "و", "&"].contains(tokens[at].text) { at += 1 }
    guard at < tokens.count, tokens[at].kind != .mark else { return }
    let more: (value: Double, end: Int)?
    if tokens[at].kind == .number {
      more = number(at).flatMap { part in part.read(true).map { ($0, part.end) } }
    } else if tokens[at].text != "a" {
      more = numeral(at)
    } else {
      more = nil
    }
    guard let (value, end) = more, let smaller = unit(end), smaller.factor < factor, value * smaller.factor < factor
    else { return }
    candidate.value += value * smaller.factor / factor
    candidate.currency = candidate.currency ?? smaller.currency
    candidate.period = candidate.period ?? smaller.period
    candidate.core = candidate.core.lowerBound..<end + 1
    candidate.whole = candidate.core
  }

  private func addCurrency(_ candidate: inout Candidate, after last: Int) {
    var (start, end) = (candidate.whole.lowerBound, candidate.whole.upperBound)
    // `5,000,000/-`, `55.000,-`
    if end + 1 < tokens.count, ["/", ",", "."].contains(tokens[end].text), tokens[end].gap == 0,
      tokens[end + 1].gap == 0, ["-", "="].contains(tokens[end + 1].text)
    {
      end += 2
    }
    let isAbbreviated = end < tokens.count && tokens[end].text == "."  // `3 Mio. AED`
    if let (currency, after) = AmountRules.currencies.match(tokens, at: isAbbreviated ? end + 1 : end),
      tokens[end].gap <= 1
    {
      candidate.currency = candidate.currency ?? currency
      end = after
    }
    if let (currency, before) = currencyBefore(start), before >= last {
      candidate.currency = candidate.currency ?? currency
      start = before
    }
    candidate.whole = start..<end
  }

  private func currencyBefore(_ start: Int) -> (value: String, start: Int)? {
    if let found = AmountRules.currencies.match(tokens, before: start) { return found }
    guard start > 1, [".", ":", "-", "="].contains(tokens[start - 1].text) else { return nil }
    return AmountRules.currencies.match(tokens, before: start - 1)
  }

  private func isGluedPrefix(_ start: Int) -> Bool {
    let word = tokens[start - 1].text
    if AmountRules.measures.contains(word) { return false }  // `85 م2`
    return currencyBefore(start) != nil || AmountRules.limitsBefore.contains(word)
      || AmountRules.rangeMarks.contains(word)
      || word.unicodeScalars.first.map { $0.value > 0x5FF && $0.value < 0x700 } == true
  }

  // MARK: - Periods

  /// Reads the period behind an amount: `yearly`, `/ 12 months`, `(per month)`.
  private func addPeriod(_ candidate: inout Candidate) {
    var at = candidate.whole.upperBound
    for _ in 0..<3 {
      if let (period, end) = period(at) {
        candidate.period = period
        candidate.whole = candidate.whole.lowerBound..<end
        return
      }
      guard let (_, next) = AmountRules.beforePeriod.match(tokens, at: at) else { return }
      at = next
    }
  }

  private func period(_ at: Int) -> (AmountPeriod, Int)? {
    guard at < tokens.count else { return nil }
    if let (period, end) = AmountRules.adverbs.match(tokens, at: at) {
      let isNoun = AmountRules.nouns[tokens[at].text] != nil
      // `/شهر` needs its mark, and `80,000 شهر` is not written; `pm` after `5` is a time, see isCount.
      if !isNoun || end > at + 1 { return (period, end) }
    }
    guard let (_, named) = AmountRules.per.match(tokens, at: at) else { return nil }
    if let (period, end) = AmountRules.nouns.match(tokens, at: named) { return (period, end) }
    if let (period, end) = AmountRules.adverbs.match(tokens, at: named) { return (period, end) }
    // `for 1 year`, `in one year`, `6,500 x 12`
    guard named < tokens.count,
      let count = tokens[named].kind == .number ? Double(tokens[named].text) : numeral(named)?.value
    else { return nil }
    let mark = tokens[at].text
    if count == 12, mark == "x" || mark == "*" { return (.month, named + 1) }
    guard count == 1, let (period, end) = AmountRules.nouns.match(tokens, at: named + 1) else { return nil }
    return (period, end)
  }

  /// Gives an amount the period before it: `monthly rent of AED 12,500`.
  private func linkPeriodsBefore(_ found: inout [Candidate]) {
    for index in found.indices where found[index].period == nil && !found[index].isCount {
      let floor = index == 0 ? 0 : found[index - 1].whole.upperBound
      var at = found[index].whole.lowerBound
      for _ in 0..<6 where at > floor {
        if let (period, start) = AmountRules.adverbs.match(tokens, before: at), start >= floor {
          let isNoun = AmountRules.nouns[tokens[at - 1].text] != nil && at - start == 1
          if !isNoun || start > floor && AmountRules.per.match(tokens, before: start) != nil {
            found[index].setPeriod(period, from: start)
          }
          break
        }
        if let (period, start) = AmountRules.nouns.match(tokens, before: at),
          let (_, begin) = AmountRules.per.match(tokens, before: start), begin >= floor
        {
          found[index].setPeriod(period, from: begin)
          break
        }
        guard let (_, next) = AmountRules.afterPeriod.match(tokens, before: at), next >= floor else { break }
        at = next
      }
    }
  }

  // MARK: - Numbers that are no amounts

  /// Returns the end of a telephone number, date or time that begins at a token.
  private func endOfOtherNumber(_ start: Int) -> Int? {
    endOfAddress(start) ?? endOfTime(start) ?? endOfSerialNumber(start) ?? endOfTelephoneNumber(start)
  }

  /// Returns the end of a web address or mail address that has a number: `example.com/p/2500000`.
  private func endOfAddress(_ start: Int) -> Int? {
    var (first, end) = (start, start + 1)
    while first > 0, tokens[first].gap == 0 { first -= 1 }
    while end < tokens.count, tokens[end].gap == 0 { end += 1 }
    let run = tokens[first..<end]
    let isAddress =
      run.indices.dropLast(2).contains {
        tokens[$0].text == ":" && tokens[$0 + 1].text == "/" && tokens[$0 + 2].text == "/"
      }
      || run.contains { $0.text == "@" } && run.contains { $0.text == "." }
    return isAddress ? end : nil
  }

  /// Returns the end of at least nine digits in three or more parts with dashes: `784-1990-1234567-1`.
  private func endOfSerialNumber(_ start: Int) -> Int? {
    var (end, digits) = (start + 1, tokens[start].text.count)
    while end + 1 < tokens.count, tokens[end].text == "-", tokens[end].gap == 0, tokens[end + 1].gap == 0,
      Self.isDigits(tokens[end + 1].text)
    {
      digits += tokens[end + 1].text.count
      end += 2
    }
    return end >= start + 5 && digits >= 9 && Self.isDigits(tokens[start].text) ? end : nil
  }

  private func endOfTime(_ start: Int) -> Int? {
    func number(_ at: Int) -> Int? {
      at < tokens.count && tokens[at].kind == .number && Self.isDigits(tokens[at].text) && tokens[at].text.count <= 4
        ? Int(tokens[at].text) : nil
    }
    guard let first = number(start), start + 2 < tokens.count, tokens[start + 1].gap == 0, tokens[start + 2].gap == 0,
      let second = number(start + 2)
    else { return nil }
    let mark = tokens[start + 1].text
    if mark == ":" { return start + 3 }
    guard mark == "/" || mark == "-" else { return nil }
    if start + 4 < tokens.count, tokens[start + 3].text == mark, tokens[start + 3].gap == 0, tokens[start + 4].gap == 0,
      number(start + 4) != nil
    {
      return start + 5
    }
    guard mark == "/", unit(start + 3) == nil else { return nil }
    // A day and a month, a month and a year, or the parts of a payment plan: `60/40`.
    let isOther = first <= 31 && (second <= 31 || 1990...2059 ~= second) || first + second == 100
    return isOther ? start + 3 : nil
  }

  /// A telephone number begins with `+`, `0` or 971, or stands behind a word such as `call`, or has 9 to 15 digits
  /// without groups. A currency or unit makes it an amount.
  private func endOfTelephoneNumber(_ start: Int) -> Int? {
    let text = tokens[start].text
    guard Self.isDigits(text) || text.contains("."), text.first != "." else { return nil }
    let isPlus = start > 0 && tokens[start - 1].text == "+" && tokens[start].gap == 0
    let isZero = text.first == "0" && text.count > 1 && text.dropFirst().first != "."
    let isCalled = isBehindTelephoneWord(start)
    var digits = text.count { $0.isNumber }
    var end = start + 1
    let isCountry = isPlus || text.hasPrefix("00") || text.hasPrefix("971")
    let enough = isCountry ? 11 : isZero ? 9 : 7
    while end < tokens.count, digits < enough {
      var next = end
      while next < tokens.count, next < end + 2, ["-", "(", ")", "/"].contains(tokens[next].text) { next += 1 }
      guard next < tokens.count, tokens[next].kind == .number, tokens[next].gap <= 1, Self.isDigits(tokens[next].text)
      else { break }
      digits += tokens[next].text.count
      end = next + 1
    }
    guard 7...15 ~= digits, unit(end) == nil, AmountRules.currencies.match(tokens, at: end) == nil,
      currencyBefore(start) == nil
    else { return nil }
    if isCalled && (!text.contains(".") || digits >= 9) { return end }
    if isPlus || isZero { return digits >= 8 ? end : nil }
    if text.hasPrefix("971"), digits == 12 { return end }
    guard Self.isDigits(text), text.count >= 9, text.count <= 15, !text.hasSuffix("000") else { return nil }
    return start + 1
  }

  private func isBehindTelephoneWord(_ start: Int) -> Bool {
    var at = start
    for _ in 0..<4 {
      if AmountRules.telephone.match(tokens, before: at) != nil { return true }
      guard let (_, next) = AmountRules.telephoneFillers.match(tokens, before: at) else { return false }
      at = next
    }
    return false
  }

  private func isReference(_ candidate: Candidate) -> Bool {
    let start = candidate.whole.lowerBound
    guard candidate.isBare, candidate.period == nil else { return false }
    if Self.isDigits(tokens[start].text), AmountRules.identifiers.match(tokens, before: start) != nil { return true }
    // `TN-12345`
    if start > 1, tokens[start - 1].text == "-", tokens[start].gap == 0, tokens[start - 1].gap == 0,
      tokens[start - 2].kind == .word, tokens[start - 2].text.count <= 3, !isGluedPrefix(start - 1)
    {
      return true
    }
    guard candidate.amount < 10_000 || tokens[start - 1].text == "#" else { return false }
    return AmountRules.references.match(tokens, before: start) != nil
  }

  /// Returns true if what follows makes the number something else than money: rooms, square feet, a price per square
  /// foot, a time of day.
  private func isCount(_ candidate: Candidate) -> Bool {
    let at = candidate.whole.upperBound
    guard at < tokens.count else { return false }
    // `2-bedroom`
    let next =
      tokens[at].text == "-" && tokens[at].gap == 0 && at + 1 < tokens.count && tokens[at + 1].gap == 0 ? at + 1 : at
    if AmountRules.measures.match(tokens, at: next) != nil {
      return candidate.currency == nil || AmountRules.measures.contains(tokens[at].text)
    }
    if let (_, named) = AmountRules.per.match(tokens, at: at), tokens[at].text != "x",
      AmountRules.measures.match(tokens, at: named) != nil
    {
      return true
    }
    guard candidate.isBare, tokens[at].text != "\n" else { return false }
    if AmountRules.counts.match(tokens, at: next) != nil {
      // `12,500 p.m.` is a rent, `5 p.m.` is a time.
      let limit = AmountRules.adverbs.match(tokens, at: at) != nil ? 13.0 : 1000
      return candidate.amount < limit || isYear(candidate)  // `2,000,000 villa` is no count
    }
    guard candidate.amount < 1000, tokens[at].kind == .word else { return false }
    return AmountRules.fillers.match(tokens, at: at) == nil && AmountRules.adverbs.match(tokens, at: at) == nil
      && AmountRules.rangeMarks.match(tokens, at: at) == nil
  }

  private func isYear(_ candidate: Candidate) -> Bool {
    guard candidate.isBare, candidate.period == nil, candidate.core.count == 1,
      Self.isDigits(tokens[candidate.core.lowerBound].text), 1990...2059 ~= candidate.value
    else { return false }
    return true
  }

  // MARK: - Ranges

  private func ranges(_ found: inout [Candidate]) -> [Amount] {
    // A year counts as an amount only if nothing else is written.
    let onlyNumber = found.count { !$0.isCount } == 1
    for index in found.indices where found[index].isYear {
      let start = found[index].whole.lowerBound
      let isQuarter = start > 1 && tokens[start - 1].kind == .number && tokens[start - 2].text == "q"
      if !onlyNumber || isQuarter || AmountRules.yearWords.match(tokens, before: start) != nil {
        found[index].isCount = true
      }
    }
    for index in found.indices.dropLast()
    where found[index + 1].isCount && found[index].isBare && areLinked(found[index], found[index + 1]) {
      found[index].isCount = true  // `2 to 3 bedrooms`
    }
    var amounts: [(amount: Amount, place: Range<Int>)] = []
    var index = 0
    while index < found.count {
      if !found[index].isCount, index + 1 < found.count, !found[index + 1].isCount,
        let range = range(found[index], found[index + 1])
      {
        amounts.append(range)
        index += 2
      } else {
        if !found[index].isCount, found[index].amount > 0 { amounts.append(single(found[index])) }
        index += 1
      }
    }
    // `min 700k, max 900k` are the limits of one amount.
    for index in amounts.indices.dropLast() {
      let (low, high) = (amounts[index], amounts[index + 1])
      let isLinked = tokens[low.place.upperBound..<high.place.lowerBound].allSatisfy {
        [",", "and", "-"].contains($0.text)
      }
      guard isLinked, let least = low.amount.min, low.amount.max == nil, let most = high.amount.max,
        high.amount.min == nil, least <= most
      else { continue }
      amounts[index + 1].amount.min = least
      amounts[index + 1].amount.text = written.text(of: low.place.lowerBound..<high.place.upperBound)
      amounts[index + 1].amount.currency = high.amount.currency ?? low.amount.currency
    }
    return amounts.map(\.amount)
  }

  /// Returns the limit before an amount, and where it begins: `max`, `maximum of`, `my max is`.
  private func limit(before end: Int) -> (limit: AmountRules.Limit, start: Int)? {
    var at = end
    for _ in 0..<4 {
      if let (limit, start) = AmountRules.limitsBefore.match(tokens, before: at) { return (limit, start) }
      guard let (_, next) = AmountRules.limitFillers.match(tokens, before: at) else { return nil }
      at = next
    }
    return nil
  }

  private func areLinked(_ first: Candidate, _ second: Candidate) -> Bool {
    let between = first.whole.upperBound
    let isBetween = first.start > 0 && ["between", "بين"].contains(tokens[first.start - 1].text)
    if between == second.whole.lowerBound {
      return isBetween && withoutPrefix(tokens[between].text) != nil  // `بين مليون ومليونين`
    }
    if let (_, end) = AmountRules.rangeMarks.match(tokens, at: between), end == second.whole.lowerBound {
      let word = tokens[between].text
      return isBetween || !["and", "&", "و"].contains(word)
    }
    guard let (_, end) = AmountRules.tightRangeMarks.match(tokens, at: between) else { return false }
    return end == second.whole.lowerBound && (first.isBare || first.factor != nil) && second.factor != nil
  }

  /// Joins two amounts to a range. In `2-3M` the first has the unit of the second, in `900-1.2M` the next smaller one.
  private func range(_ first: Candidate, _ second: Candidate) -> (amount: Amount, place: Range<Int>)? {
    guard areLinked(first, second),
      first.currency == nil || second.currency == nil || first.currency == second.currency,
      first.period == nil || second.period == nil || first.period == second.period
    else {
      return nil
    }
    var (low, high) = (first.amount, second.amount)
    if first.factor == nil, let factor = second.factor, first.value < 1000 {
      low = first.value * (first.value <= second.value || factor <= 1000 ? factor : factor / 1000)
    } else if second.factor == nil, let factor = first.factor, second.value < 1000 {
      high = second.value * factor
    }
    if low > high, first.isBare == second.isBare { (low, high) = (high, low) }
    guard low <= high, low > 0, high.isFinite else { return nil }
    var whole = first.whole.lowerBound..<second.whole.upperBound
    if let (_, start) = limit(before: first.start) {
      whole = min(start, whole.lowerBound)..<whole.upperBound
    }
    let amount = Amount(
      min: low, max: high, currency: second.currency ?? first.currency, period: second.period ?? first.period,
      text: written.text(of: whole))
    return (amount, whole)
  }

  private func single(_ candidate: Candidate) -> (amount: Amount, place: Range<Int>) {
    var whole = candidate.whole
    var (min, max): (Double?, Double?) = (candidate.amount, candidate.amount)
    var currency = candidate.currency
    if let (limit, start) = limit(before: candidate.start) {
      whole = Swift.min(start, whole.lowerBound)..<whole.upperBound
      if limit == .most { min = nil } else { max = nil }
    } else if let (limit, end) = AmountRules.limitsAfter.match(tokens, at: whole.upperBound) {
      whole = whole.lowerBound..<end
      if limit == .most { min = nil } else { max = nil }
      if currency == nil, let (named, after) = AmountRules.currencies.match(tokens, at: end) {  // `20M+ AED`
        currency = named
        whole = whole.lowerBound..<after
      }
    }
    let amount = Amount(
      min: min, max: max, currency: currency, period: candidate.period, text: written.text(of: whole))
    return (amount, whole)
  }
}
