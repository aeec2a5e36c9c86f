import Leads
import Wire

/// What the points of a lead come from: its parts in words, as far as it is known.
struct ScoreExplanation {
  struct Part {
    let name: String
    /// As it is stored: what a client sends need not be whole.
    let points: JSON
    /// The most that it can be; nil where only the client knows.
    let most: Int?
    let why: String
  }

  let total: Int
  let quality: String
  /// client, server or agent; unknown where nothing says so.
  let source: String
  let parts: [Part]

  private let lead: JSON
  private let breakdown: JSON

  /// - Parameter lead: the ConversationDTO.
  init(_ lead: JSON) {
    self.lead = lead
    total = lead["leadScore"]?.integer ?? 0
    quality = lead["leadQuality"]?.string ?? "cold"
    breakdown = lead["leadScoreBreakdown"] ?? .null
    let named = breakdown["source"]?.string ?? ""
    source = ["client", "server", "agent"].contains(named) ? named : "unknown"
    parts =
      switch source {
      case "server": Self.counted(breakdown, lead)
      case "client": Self.sent(breakdown)
      case "agent":
        [Part(name: "by hand", points: JSON(total), most: 100, why: "set by \(Self.actor(breakdown))")]
      default: []
      }
  }

  var document: JSON {
    [
      "total": JSON(total), "quality": .string(quality), "source": .string(source),
      "parts": .array(
        parts.map {
          ["name": .string($0.name), "points": $0.points, "of": JSON($0.most), "why": .string($0.why)]
        }),
    ]
  }

  var sentences: [String] { [origin] + parts.map(sentence) + [rating] }

  private func sentence(_ part: Part) -> String {
    "\(part.name): \(part.points.text)\(part.most.map { " of \($0)" } ?? ""), \(part.why)."
  }

  private var origin: String {
    switch source {
    case "client": return "The score of \(total) was sent by the client with the lead; the server did not count it."
    case "agent":
      let before = breakdown["before"] ?? .null
      let were = Score.parts.compactMap { before[$0.0]?.integer }.reduce(0, +)
      let told = before["source"]?.string == "server" ? "; before that the server had counted \(were)" : ""
      return "The score of \(total) was set by \(Self.actor(breakdown))\(told)."
    case "server":
      let sum = parts.compactMap(\.points.integer).reduce(0, +)
      return sum == total
        ? "The server counted \(total) of 100 points."
        : "The score is \(total); the server had counted \(sum), so it was changed since."
    default: return "The score is \(total), and nothing says what it was made of."
    }
  }

  private var rating: String {
    let meant = Score.quality(of: total)
    guard meant != quality else {
      return "From 80 points a lead is hot, from 50 warm, else cold: this one is \(quality)."
    }
    let who = breakdown["quality"]?.string == "client" || source == "client" ? "was sent as" : "was rated"
    return "\(total) points would make it \(meant); it \(who) \(quality)."
  }

  private static func actor(_ breakdown: JSON) -> String { breakdown["by"]?.string ?? "somebody" }

  // MARK: - Parts

  private static func sent(_ breakdown: JSON) -> [Part] {
    (breakdown.members ?? []).prefix(50).compactMap { member in
      guard case .number = member.value else { return nil }
      return Part(name: member.key, points: member.value, most: nil, why: "as the client sent it")
    }
  }

  private static func counted(_ breakdown: JSON, _ lead: JSON) -> [Part] {
    Score.parts.compactMap { name, most in
      guard let points = breakdown[name]?.integer else { return nil }
      let why =
        switch name {
        case "budget": budget(points, intent: lead["intent"]?.string)
        case "intent": intent(points)
        case "urgency": urgency(points)
        case "contact": contact(points, hasPhone: lead["customerPhone"]?.string != nil)
        default: engagement(points)
        }
      return Part(name: name, points: JSON(points), most: most, why: why)
    }
  }

  private static func budget(_ points: Int, intent: String?) -> String {
    guard points > 0 else { return "no amount of money was named" }
    let scale = Score.budgetScale(intent)
    let kind = ["rent": "yearly rent", "invest": "investments"][intent ?? ""] ?? "sales"
    if let step = scale.first(where: { $0.points == points }) {
      return "AED \(grouped(step.amount)) or more on the scale for \(kind)"
    }
    if points == 5, let lowest = scale.last {
      return "less than AED \(grouped(lowest.amount)) on the scale for \(kind)"
    }
    return "the budget on the scale for what was wanted then"
  }

  private static func grouped(_ amount: Double) -> String {
    var digits = String(Int(amount))
    var groups: [Substring] = []
    while digits.count > 3 {
      groups.insert(Substring(digits.suffix(3)), at: 0)
      digits.removeLast(3)
    }
    return ([Substring(digits)] + groups).joined(separator: ",")
  }

  private static func intent(_ points: Int) -> String {
    let words = [
      "invest": "wants to invest", "buy": "wants to buy", "sell": "wants to sell", "rent": "wants to rent",
      "browse": "is looking around",
    ]
    return Score.intentPoints.first { $0.value == points }.flatMap { words[$0.key] } ?? "what is wanted was not said"
  }

  private static func urgency(_ points: Int) -> String {
    points >= 15
      ? "says that it is urgent"
      : points > 0 ? "says that it will be soon" : "nothing says that it is urgent, or something that it is not"
  }

  /// Which ways to answer make these points; 10 can be two things.
  private static func contact(_ points: Int, hasPhone: Bool) -> String {
    let ways = [("telephone number", 10), ("mail address", 7), ("full name", 3)]
    var left = points
    let found = (hasPhone ? ways : Array(ways.dropFirst())).filter { way in
      guard way.1 <= left else { return false }
      left -= way.1
      return true
    }
    guard left == 0, !found.isEmpty else { return points == 0 ? "no way to answer" : "the ways to answer of that time" }
    return found.map { "\($0.0) (\($0.1))" }.joined(separator: ", ")
  }

  private static func engagement(_ points: Int) -> String {
    let least = [10: "ten messages or more", 7: "five messages or more", 4: "two messages or more", 2: "one message"]
    return least[points].map { "\($0) of the customer" } ?? "no message of the customer"
  }
}
