import Wire

/// Counts the messages that each provider accepted and the faults of each kind. A request that was accepted but not
/// answered counts as both.
struct SinkCounts: Sendable, Equatable {
  private var taken: [SinkProvider: Int] = [:]
  private var failed: [SinkProvider: [String: Int]] = [:]

  mutating func take(_ provider: SinkProvider) { taken[provider, default: 0] += 1 }

  mutating func add(_ provider: SinkProvider, _ kind: String) {
    failed[provider, default: [:]][kind, default: 0] += 1
  }

  /// `{"slack": {"taken": 2, "failed": {"rate_limited": 1}}, …}`.
  var document: JSON {
    .object(
      SinkProvider.allCases.map { provider in
        let kinds = rows(provider).map { JSON.Member($0.kind, JSON($0.count)) }
        return JSON.Member(provider.rawValue, ["taken": JSON(taken[provider] ?? 0), "failed": .object(kinds)])
      })
  }

  /// Returns the fault counts of a provider, sorted by kind.
  func rows(_ provider: SinkProvider) -> [(kind: String, count: Int)] {
    (failed[provider] ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}
