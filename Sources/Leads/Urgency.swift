/// How soon a customer wants something, by their words. UrgencyRules has the words.
package struct Urgency: Sendable, Equatable {
  package enum Level: Sendable { case now, soon }

  /// Nil if nothing is said, or if the customer says that it is not urgent.
  package var level: Level?
  /// The part of the text that decided. Nil if nothing is said.
  package var text: String?

  /// Reads texts of a customer. A statement that nothing is urgent overrides all others, otherwise the most urgent
  /// words count. A negated word (`not today`) does not count.
  package static func read(_ text: String) -> Urgency {
    let written = WrittenText(text)
    var found = Urgency()
    var at = 0
    while at < written.tokens.count {
      guard let (rule, end) = match(written.tokens, at) else {
        at += 1
        continue
      }
      let start = at
      at = end
      if isSomethingElse(rule, written.tokens, start, end) { continue }
      let negation = startOfNegation(written.tokens, start) ?? (isDenied(written.tokens, end) ? start : nil)
      switch (rule.meaning, negation) {
      case (.none, _): continue
      case (.later, _): return Urgency(level: nil, text: written.text(of: start..<end))
      case (.urgent, let negation?): return Urgency(level: nil, text: written.text(of: negation..<end))
      case (.now, let negation?), (.soon, let negation?):
        if found.text == nil { found.text = written.text(of: negation..<end) }
      case (.urgent, nil), (.now, nil):
        if found.level != .now { found = Urgency(level: .now, text: written.text(of: start..<end)) }
      case (.soon, nil):
        if found.level == nil { found = Urgency(level: .soon, text: written.text(of: start..<end)) }
      }
    }
    return found
  }

  /// Matches whole words. An Arabic word may have a prefix: `والعاجل`.
  private static func match(_ tokens: [WrittenText.Token], _ at: Int) -> (value: UrgencyRules.Rule, end: Int)? {
    guard tokens[at].kind != .mark else { return nil }
    if let found = UrgencyRules.words.match(tokens, at: at) ?? span(tokens, at) { return found }
    let word = tokens[at].text
    // What follows is for Arabic words. To compare the others too would take a tenth of all the time for a lead.
    guard word.utf8.first.map({ $0 >= 0x80 }) == true else { return nil }
    if let rest = withoutPrefix(word), let found = UrgencyRules.words.match(tokens, at: at, first: rest) {
      return found
    }
    for prefix in UrgencyRules.articles where word.hasPrefix(prefix) && word.count > prefix.count + 2 {
      let rest = String(word.dropFirst(prefix.count))
      if let found = UrgencyRules.words.match(tokens, at: at, first: rest), found.value.takesArticle { return found }
    }
    return nil
  }

  /// Matches a span of time: `within 2 weeks`. A week or less is now, a month or less is soon.
  private static func span(_ tokens: [WrittenText.Token], _ at: Int) -> (value: UrgencyRules.Rule, end: Int)? {
    guard var (_, end) = UrgencyRules.within.match(tokens, at: at), end < tokens.count else { return nil }
    var count = 1.0
    if tokens[end].kind == .number, let number = Double(tokens[end].text) {
      (count, end) = (number, end + 1)
    } else if let (number, after) = UrgencyRules.counts.match(tokens, at: end) {
      (count, end) = (number, after)
    }
    guard let (days, after) = UrgencyRules.spans.match(tokens, at: end), count * days <= 31 else { return nil }
    return (UrgencyRules.Rule(meaning: count * days <= 7 ? .now : .soon), after)
  }

  /// `قريبا من المترو` is near the metro, and the immediate vicinity is not urgent.
  private static func isSomethingElse(
    _ rule: UrgencyRules.Rule, _ tokens: [WrittenText.Token], _ start: Int, _ end: Int
  ) -> Bool {
    guard end < tokens.count, !rule.unlessBefore.isEmpty else { return false }
    let next = tokens[end].text
    return rule.unlessBefore.contains { $0 == next || $0.hasSuffix("*") && next.hasPrefix($0.dropLast()) }
  }

  /// Returns the token of a negation before a word, with nothing between them but words such as `so` and `very`.
  private static func startOfNegation(_ tokens: [WrittenText.Token], _ start: Int) -> Int? {
    var at = start
    for _ in 0..<6 {
      if let (_, begin) = UrgencyRules.negations.match(tokens, before: at) { return begin }
      if at > 0, let rest = withoutPrefix(tokens[at - 1].text), UrgencyRules.negations.contains(rest) { return at - 1 }
      guard let (_, next) = UrgencyRules.fillers.match(tokens, before: at) else { return nil }
      at = next
    }
    return nil
  }

  /// `urgent: no`
  private static func isDenied(_ tokens: [WrittenText.Token], _ end: Int) -> Bool {
    end + 1 < tokens.count && [":", "?", "=", "-"].contains(tokens[end].text)
      && UrgencyRules.denials.contains(tokens[end + 1].text)
      && (end + 2 == tokens.count || tokens[end + 2].kind == .mark)
  }
}

/// Returns an Arabic word without the conjunction that is written with it.
func withoutPrefix(_ word: String) -> String? {
  guard let first = word.unicodeScalars.first, first == "و" || first == "ف", word.count > 3 else { return nil }
  return String(word.dropFirst())
}
