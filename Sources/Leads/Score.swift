import Wire

/// How promising a lead is: 0 to 100 points, the resulting quality, and the points of each part.
package struct Score: Sendable, Equatable {
  package let points: Int
  /// hot, warm or cold.
  package let quality: String
  /// `source` (client or server) and, for points counted here, the points of each part, and in `counted` the words of
  /// the customer that made them.
  package let breakdown: JSON

  init(points: Int, quality: String, breakdown: JSON) {
    self.points = points
    self.quality = quality
    self.breakdown = breakdown
  }

  /// Returns hot from 80 points, warm from 50, otherwise cold.
  package static func quality(of points: Int) -> String { points >= 80 ? "hot" : points >= 50 ? "warm" : "cold" }

  /// The parts of a score, with the maximum points of each.
  package static let parts = [("budget", 30), ("intent", 25), ("urgency", 15), ("contact", 20), ("engagement", 10)]

  package static let intentPoints = ["invest": 25, "buy": 22, "sell": 20, "rent": 15, "browse": 5]

  /// Returns minimum amounts in dirhams with their points, highest first. A budget below the last amount gets 5 points.
  package static func budgetScale(_ intent: String?) -> [(amount: Double, points: Int)] {
    switch intent {
    case "rent": [(500_000, 30), (250_000, 25), (150_000, 20), (80_000, 12)]
    case "invest": [(20_000_000, 30), (10_000_000, 26), (5_000_000, 22), (2_000_000, 16), (1_000_000, 10)]
    default: [(10_000_000, 30), (5_000_000, 25), (2_000_000, 20), (1_000_000, 15), (500_000, 10)]
    }
  }
}
