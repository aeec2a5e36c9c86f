import Wire

/// How many messages each channel took, and how many requests met with which kind of fault. A request that was taken and
/// not answered counts as both.
struct SinkCounts: Sendable, Equatable {
  private var taken: [SinkMessage.Channel: Int] = [:]
  private var failed: [SinkMessage.Channel: [String: Int]] = [:]

  mutating func take(_ channel: SinkMessage.Channel) { taken[channel, default: 0] += 1 }

  mutating func add(_ channel: SinkMessage.Channel, _ kind: String) {
    failed[channel, default: [:]][kind, default: 0] += 1
  }

  /// `{"slack": {"taken": 2, "failed": {"rate_limited": 1}}, …}`.
  var document: JSON {
    .object(
      SinkMessage.Channel.allCases.map { channel in
        let kinds = rows(channel).map { JSON.Member($0.kind, JSON($0.count)) }
        return JSON.Member(channel.rawValue, ["taken": JSON(taken[channel] ?? 0), "failed": .object(kinds)])
      })
  }

  /// The faults of a channel, by kind.
  func rows(_ channel: SinkMessage.Channel) -> [(kind: String, count: Int)] {
    (failed[channel] ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}
