import Wire

extension Score {
  /// Uses the points and quality that the client sent, marked as such, and computes what it left out. A breakdown
  /// without points is ignored.
  /// - Parameters:
  ///   - written: texts of the customer in addition to notes, tags and messages.
  init(
    of lead: Lead, written: [String?] = [], clientPoints: Int? = nil, clientQuality: String? = nil,
    clientBreakdown: JSON? = nil
  ) {
    if let clientPoints {
      self.init(
        points: clientPoints, quality: clientQuality ?? Self.quality(of: clientPoints),
        breakdown: (clientBreakdown ?? [:]).setting("source", "client"))
      return
    }
    let urgency = Urgency.read(Self.said(lead, written))
    let parts = [
      ("budget", Self.budgetPoints(lead)), ("intent", Self.intentPoints[lead.intent ?? ""] ?? 0),
      ("urgency", Self.urgencyPoints(urgency)), ("contact", Self.contactPoints(lead)),
      ("engagement", Self.engagementPoints(lead.messages.count { $0.sender == "customer" })),
    ]
    let points = parts.reduce(0) { $0 + $1.1 }
    self.init(
      points: points, quality: clientQuality ?? Self.quality(of: points),
      breakdown: .object(
        [JSON.Member("source", "server")] + (clientQuality == nil ? [] : [JSON.Member("quality", "client")])
          + parts.map { JSON.Member($0.0, JSON($0.1)) } + Self.counted(lead.amount, urgency)))
  }

  /// The parts of the texts that decided, as `counted`.
  private static func counted(_ amount: Amount?, _ urgency: Urgency) -> [JSON.Member] {
    let texts = [("budget", amount?.text), ("urgency", urgency.text)].compactMap { name, text in
      text.map { JSON.Member(name, .string(String($0.prefix(200)))) }
    }
    return texts.isEmpty ? [] : [JSON.Member("counted", .object(texts))]
  }

  /// Up to 30 points. Sale, yearly rent and investment have separate scales (AED).
  private static func budgetPoints(_ lead: Lead) -> Int {
    guard let value = lead.amount?.value, value > 0 else { return 0 }
    return budgetScale(lead.intent).first { value >= $0.amount }?.points ?? 5
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
  private static func urgencyPoints(_ urgency: Urgency) -> Int {
    switch urgency.level {
    case .now: 15
    case .soon: 8
    case nil: 0
    }
  }

  /// Returns the customer's own texts.
  private static func said(_ lead: Lead, _ written: [String?]) -> String {
    let messages = lead.messages.filter { $0.sender == "customer" }.map(\.text)
    return (([lead.notes] + written).compactMap { $0 } + lead.tags + messages).joined(separator: "\n")
  }
}
