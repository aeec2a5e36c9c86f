import Wire

extension Score {
  /// Uses the points and quality that the client sent, marked as such, and computes what it left out. A breakdown
  /// without points is ignored.
  /// - Parameters:
  ///   - price: the price that an owner expects. Used if there is no budget.
  ///   - written: texts of the customer in addition to notes, tags and messages.
  init(
    of lead: Lead, price: String? = nil, written: [String?] = [], clientPoints: Int? = nil,
    clientQuality: String? = nil, clientBreakdown: JSON? = nil
  ) {
    if let clientPoints {
      self.init(
        points: clientPoints, quality: clientQuality ?? Self.quality(of: clientPoints),
        breakdown: (clientBreakdown ?? [:]).setting("source", "client"))
      return
    }
    let parts = [
      ("budget", Self.budgetPoints(lead.budget ?? price, intent: lead.intent)),
      ("intent", Self.intentPoints[lead.intent ?? ""] ?? 0),
      ("urgency", Self.urgencyPoints(lead, written)), ("contact", Self.contactPoints(lead)),
      ("engagement", Self.engagementPoints(lead.messages.count { $0.sender == "customer" })),
    ]
    let points = parts.reduce(0) { $0 + $1.1 }
    self.init(
      points: points, quality: clientQuality ?? Self.quality(of: points),
      breakdown: .object(
        [JSON.Member("source", "server")] + (clientQuality == nil ? [] : [JSON.Member("quality", "client")])
          + parts.map { JSON.Member($0.0, JSON($0.1)) }))
  }

  /// Up to 30 points. Sale, yearly rent and investment have separate scales (AED).
  private static func budgetPoints(_ text: String?, intent: String?) -> Int {
    guard let text, var amount = Budget.amount(in: text), amount > 0 else { return 0 }
    if intent == "rent", ["month", "شهر"].contains(where: text.lowercased().contains) { amount *= 12 }
    return budgetScale(intent).first { amount >= $0.amount }?.points ?? 5
  }

  /// Up to 20 points for contact details.
  private static func contactPoints(_ lead: Lead) -> Int {
    (lead.customerPhone == nil ? 0 : 10) + (lead.customerEmail == nil ? 0 : 7)
      + (lead.customerName.contains(" ") ? 3 : 0)
  }

  /// Up to 10 points for the number of the customer's messages.
  private static func engagementPoints(_ messages: Int) -> Int {
    messages >= 10 ? 10 : messages >= 5 ? 7 : messages >= 2 ? 4 : messages == 1 ? 2 : 0
  }

  /// Up to 15 points for words that express urgency.
  private static func urgencyPoints(_ lead: Lead, _ written: [String?]) -> Int {
    let messages = lead.messages.filter { $0.sender == "customer" }.map(\.text)
    let text = (([lead.notes] + written).compactMap { $0 } + lead.tags + messages).joined(separator: "\n").lowercased()
    let words = PhraseText(text)
    let says = { (phrases: [[UInt8]]) in phrases.contains(where: words.contains) }
    return says(Self.later) ? 0 : says(Self.now) ? 15 : says(Self.soon) ? 8 : 0
  }

  private static let later = PhraseText.phrases([
    "not urgent", "not so urgent", "not very urgent", "nothing urgent", "no rush", "no hurry", "ليس عاجلا",
  ])
  private static let now = PhraseText.phrases([
    "urgent", "urgently", "asap", "immediate", "immediately", "today", "this week", "right away", "عاجل", "فورا",
    "اليوم",
  ])
  private static let soon = PhraseText.phrases([
    "this month", "next week", "soon", "next month", "قريبا", "هذا الشهر",
  ])
}

/// A text to search for phrases: its words in UTF-8, with one space around each.
private struct PhraseText {
  private let bytes: [UInt8]

  /// Words are made of letters and numbers with their marks. Everything else separates words.
  init(_ text: String) {
    let blank = UInt8(ascii: " ")
    var bytes = [blank]
    bytes.reserveCapacity(text.utf8.count + 2)
    for scalar in text.unicodeScalars {
      // A mark belongs to the letter before it. A mark of a symbol, such as an emoji's, is dropped with the symbol.
      if scalar.isPartOfWord || bytes.last != blank && scalar.properties.isGraphemeExtend {
        bytes.append(contentsOf: UTF8.encode(scalar).unsafelyUnwrapped)
      } else if bytes.last != blank {
        bytes.append(blank)
      }
    }
    if bytes.last != blank { bytes.append(blank) }
    self.bytes = bytes
  }

  /// Prepares phrases for searching. They match whole words only: `monsoon` does not contain `soon`. Arabic attaches
  /// articles to words, so Arabic phrases match anywhere.
  static func phrases(_ texts: [String]) -> [[UInt8]] {
    texts.map { Array(($0.utf8.allSatisfy { $0 < 0x80 } ? " \($0) " : $0).utf8) }
  }

  func contains(_ phrase: [UInt8]) -> Bool {
    guard phrase.count <= bytes.count else { return false }
    return bytes.withUnsafeBufferPointer { bytes in
      phrase.withUnsafeBufferPointer { phrase in
        (0...(bytes.count - phrase.count)).contains { start in
          phrase.indices.allSatisfy { bytes[start + $0] == phrase[$0] }
        }
      }
    }
  }
}

extension Unicode.Scalar {
  fileprivate var isPartOfWord: Bool {
    switch value {
    case 0x30...0x39, 0x61...0x7A, 0x41...0x5A: true
    case 0..<0x80: false
    default: !properties.isGraphemeExtend && (properties.isAlphabetic || properties.numericType != nil)
    }
  }
}
