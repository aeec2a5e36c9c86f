/// Counts durations in buckets and sums them up, as a Prometheus histogram does.
struct Histogram: Sendable, Equatable {
  /// The upper bounds of the buckets in seconds, from the time that a stream process takes to the longest time limit of
  /// a handler.
  static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

  /// The number of durations between each bound and the one before. The last count is of those above all bounds.
  private var counts = [Int](repeating: 0, count: bounds.count + 1)
  private(set) var sum = 0.0

  mutating func add(_ seconds: Double) {
    counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
    sum += seconds
  }

  var count: Int { counts.reduce(0, +) }

  /// For each bound, the number of durations that are less than or equal to it.
  var cumulative: [Int] {
    var total = 0
    return counts.dropLast().map { count in
      total += count
      return total
    }
  }
}
