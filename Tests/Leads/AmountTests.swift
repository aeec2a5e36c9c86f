import Leads
import Testing

/// How well a reader does: of what it found, how much is right, and of what there is, how much it found.
private struct Figures {
  private(set) var right = 0
  private(set) var found = 0
  private(set) var there = 0
  private(set) var faults: [String] = []

  mutating func count<Value: Equatable>(_ got: Value?, _ wanted: Value?, _ phrase: String) {
    if got != nil { found += 1 }
    if wanted != nil { there += 1 }
    if got == wanted { right += got == nil ? 0 : 1 } else { faults.append(phrase) }
  }

  var precision: Double { found == 0 ? 1 : Double(right) / Double(found) }
  var recall: Double { there == 0 ? 1 : Double(right) / Double(there) }

  func text(_ name: String) -> String {
    func percent(_ part: Double) -> String { "\((part * 1000).rounded() / 10) %" }
    return "\(name): precision \(percent(precision)), recall \(percent(recall)) (\(there) of the corpus)"
      + faults.map { "\n  misread: \($0)" }.joined()
  }
}

private struct Money: Equatable {
  let min: Double?
  let max: Double?
}

@Suite("The corpus of phrases") struct CorpusTests {
  private static func rows(_ corpus: String) -> [(phrase: String, meaning: String)] {
    corpus.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: " => ")
      return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
    }
  }

  /// Parses `1000..2000 AED month`.
  private static func parse(_ meaning: String) -> (money: Money?, currency: String?, period: AmountPeriod?) {
    var words = meaning.split(separator: " ").map(String.init)
    let amount = words.removeFirst()
    guard amount != "none" else { return (nil, nil, nil) }
    let parts = amount.contains("..") ? amount.split(separator: "..", omittingEmptySubsequences: false) : []
    let limits = parts.isEmpty ? [amount] : parts.map { String($0) }
    let period = words.last.flatMap(AmountPeriod.init)
    return (
      Money(min: Double(limits[0]), max: Double(limits.last ?? "")), words.first { $0.count == 3 && $0 != "day" },
      period
    )
  }

  @Test("amounts, currencies and periods are read with few faults") func amounts() {
    var (amounts, currencies, periods) = (Figures(), Figures(), Figures())
    let rows = Self.rows(Corpus.amounts)
    #expect(rows.count >= 300)
    for (phrase, meaning) in rows {
      let wanted = Self.parse(meaning)
      let got = Amount.read(phrase)
      amounts.count(got.map { Money(min: $0.min, max: $0.max) }, wanted.money, phrase)
      currencies.count(got?.currency, wanted.currency, phrase)
      periods.count(got?.period, wanted.period, phrase)
      if let text = got?.text { #expect(phrase.contains(text)) }
    }
    print(amounts.text("amounts"), currencies.text("currencies"), periods.text("periods"), separator: "\n")
    #expect(amounts.precision >= 0.99 && amounts.recall >= 0.99)
    #expect(currencies.precision >= 0.99 && currencies.recall >= 0.98)
    #expect(periods.precision >= 0.99 && periods.recall >= 0.99)
  }

  @Test("urgency is read with few faults") func urgency() {
    var urgency = Figures()
    for (phrase, meaning) in Self.rows(Corpus.urgency) {
      let got = Urgency.read(phrase)
      urgency.count(got.level, meaning == "now" ? .now : meaning == "soon" ? .soon : nil, phrase)
      if let text = got.text { #expect(phrase.contains(text)) }
    }
    print(urgency.text("urgency"))
    #expect(urgency.precision >= 0.99 && urgency.recall >= 0.99)
  }
}

@Suite("Amounts") struct AmountTests {
  @Test("returns nil for text without an amount", arguments: ["", " ", "..,", "0", String(repeating: "9", count: 400)])
  func none(_ text: String) { #expect(Amount.read(text) == nil) }

  @Test("keeps the part of the text that was read") func text() throws {
    #expect(try #require(Amount.read("We pay AED 80,000 yearly, from May")).text == "AED 80,000 yearly")
    #expect(try #require(Amount.read("الميزانية ٢ مليون درهم تقريبا")).text == "٢ مليون درهم")
    #expect(try #require(Amount.read("3BR for up to 2-3M.")).text == "up to 2-3M")
    #expect(try #require(Amount.read("2BR, min 700k, max 900k AED")).text == "min 700k, max 900k AED")
  }

  @Test(
    "an amount with a period counts for a year",
    arguments: [("12,500 pcm", 150_000.0), ("3,000 pw", 156_000), ("95k", 95_000)])
  func perYear(_ text: String, _ value: Double) throws {
    #expect(try #require(Amount.read(text)).value == value)
  }

  @Test("of several amounts the one that is largest for a year counts") func largest() throws {
    #expect(try #require(Amount.read("1M or 2M, deposit 50k")).max == 2_000_000)
    #expect(try #require(Amount.read("10k/month or 110k/yr")).value == 120_000)
  }

  @Test("the words that say that nothing is urgent are kept") func negation() {
    #expect(Urgency.read("Well, not so urgent.").text == "not so urgent")
    #expect(Urgency.read("الموضوع غير عاجل").text == "غير عاجل")
    #expect(Urgency.read("a villa").text == nil)
  }

  @Test("a statement that nothing is urgent overrides other messages") func overrides() {
    #expect(Urgency.read("a villa, today\nnot urgent").level == nil)
    #expect(Urgency.read("not today\nnext week").level == .soon)
  }
}
