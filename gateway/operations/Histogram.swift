/// How many of some durations were at most as long as each of a few bounds, and how long all of them took together.
struct Histogram: Sendable, Equatable {
  /// In seconds: from what a stream process takes to what a handler may take at most.
  static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

  /// How many fall between a bound and the one before; the last are above all bounds.
  private var counts = [Int](repeating: 0, count: bounds.count + 1)
  private(set) var sum = 0.0

  mutating func add(_ seconds: Double) {
    counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
    sum += seconds
  }

  var count: Int { counts.reduce(0, +) }

  /// For each bound, how many were at most as long.
  var upTo: [Int] {
    var total = 0
    return counts.dropLast().map { count in
      total += count
      return total
    }
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
