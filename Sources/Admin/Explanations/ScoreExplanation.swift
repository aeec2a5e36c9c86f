import Leads
import Wire

/// Explains a lead's score part by part, as far as the parts are known.
struct ScoreExplanation {
  struct Part {
    let name: String
    /// As stored: points that a client sends can be fractions.
    let points: JSON
    /// The maximum; nil for a client's part, whose maximum is unknown.
    let most: Int?
    let why: String
  }

  let total: Int
  let quality: String
  /// client, server or agent; unknown if the breakdown names none of them.
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
    case "client": return "The client sent the score of \(total) with the lead; the server did not calculate it."
    case "agent":
      let before = breakdown["before"] ?? .null
      let were = Score.parts.compactMap { before[$0.0]?.integer }.reduce(0, +)
      let earlier = before["source"]?.string == "server" ? "; before that, the server had calculated \(were)" : ""
      return "The score of \(total) was set by \(Self.actor(breakdown))\(earlier)."
    case "server":
      let sum = parts.compactMap(\.points.integer).reduce(0, +)
      return sum == total
        ? "The server calculated \(total) of 100 points."
        : "The score is \(total), but the server had calculated \(sum): it was changed later."
    default: return "The score is \(total), and there is no record of how it was calculated."
    }
  }

  private var rating: String {
    let meant = Score.quality(of: total)
    guard meant != quality else {
      return "A lead is hot from 80 points, warm from 50, and otherwise cold: this one is \(quality)."
    }
    let verb = breakdown["quality"]?.string == "client" || source == "client" ? "was sent as" : "was rated"
    return "\(total) points would make it \(meant), but it \(verb) \(quality)."
  }

  private static func actor(_ breakdown: JSON) -> String { breakdown["by"]?.string ?? "an agent" }

  // MARK: - Parts

  private static func sent(_ breakdown: JSON) -> [Part] {
    (breakdown.members ?? []).prefix(50).compactMap { member in
      guard case .number = member.value else { return nil }
      return Part(name: member.key, points: member.value, most: nil, why: "sent by the client")
    }
  }

  private static func counted(_ breakdown: JSON, _ lead: JSON) -> [Part] {
    Score.parts.compactMap { name, most in
      guard let points = breakdown[name]?.integer else { return nil }
      let reason =
        switch name {
        case "budget": budget(points, intent: lead["intent"]?.string)
        case "intent": intent(points)
        case "urgency": urgency(points)
        case "contact": contact(points, hasPhone: lead["customerPhone"]?.string != nil)
        default: engagement(points)
        }
      let quote = breakdown["counted"]?[name]?.string.map { " (\u{201C}\(oneLine($0))\u{201D})" } ?? ""
      return Part(name: name, points: JSON(points), most: most, why: reason + quote)
    }
  }

  /// Returns the customer's words without line breaks.
  private static func oneLine(_ text: String) -> String {
    text.split { $0.isNewline }.joined(separator: " ")
  }

  private static func budget(_ points: Int, intent: String?) -> String {
    guard points > 0 else { return "no amount was given" }
    let scale = Score.budgetScale(intent)
    let kind = ["rent": "yearly rent", "invest": "investments"][intent ?? ""] ?? "sales"
    if let step = scale.first(where: { $0.points == points }) {
      return "AED \(grouped(step.amount)) or more on the scale for \(kind)"
    }
    if points == 5, let lowest = scale.last {
      return "less than AED \(grouped(lowest.amount)) on the scale for \(kind)"
    }
    return "the budget on the scale of an earlier intent"
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
    return Score.intentPoints.first { $0.value == points }.flatMap { words[$0.key] } ?? "no intent was given"
  }

  private static func urgency(_ points: Int) -> String {
    points >= 15
      ? "the customer says that it is urgent"
      : points > 0 ? "the customer says that it is soon" : "no sign of urgency, or a sign that it is not urgent"
  }

  /// Returns the contact details that make these points. 10 points are a phone number, or an email address and a full
  /// name.
  private static func contact(_ points: Int, hasPhone: Bool) -> String {
    let ways = [("phone number", 10), ("email address", 7), ("full name", 3)]
    var left = points
    let found = (hasPhone ? ways : Array(ways.dropFirst())).filter { way in
      guard way.1 <= left else { return false }
      left -= way.1
      return true
    }
    guard left == 0, !found.isEmpty else {
      return points == 0 ? "no contact details" : "the contact details at the time"
    }
    return found.map { "\($0.0) (\($0.1))" }.joined(separator: ", ")
  }

  private static func engagement(_ points: Int) -> String {
    let least = [
      10: "at least ten messages", 7: "at least five messages", 4: "at least two messages", 2: "one message",
    ]
    return least[points].map { "\($0) from the customer" } ?? "no messages from the customer"
  }
}
