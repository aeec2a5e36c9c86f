import Wire

/// The totals of several prune batches.
struct Pruned {
  private static let kinds = ["events", "deliveries", "attempts", "idempotencyKeys"]
  private var counts = [Int](repeating: 0, count: kinds.count)
  /// The number of changed conversations whose search index is out of date.
  var unindexed = 0
  private(set) var isPruned = false
  /// The number of closed leads whose personal data was erased.
  var leads = 0
  /// The number of newsletter addresses that were kept aside as spam and are erased.
  var subscriptions = 0
  /// True if there may be more to erase.
  var hasOldLeads = false

  /// True if nothing is left to do.
  var isComplete: Bool { isPruned && unindexed == 0 && !hasOldLeads }

  var rows: Int { counts.reduce(0, +) }

  mutating func add(_ batch: JSON) {
    for (index, kind) in Self.kinds.enumerated() { counts[index] += batch[kind]?.integer ?? 0 }
    isPruned = batch["isComplete"]?.bool ?? true
  }

  var document: JSON {
    let numbers = zip(Self.kinds, counts).map { JSON.Member($0.0, JSON($0.1)) }
    return JSON.object(numbers).setting("leads", JSON(leads)).setting("subscriptions", JSON(subscriptions))
      .setting("unindexed", JSON(unindexed)).setting("isComplete", .bool(isComplete))
  }

  static let schema: JSON = [
    "type": "object",
    "properties": .object(
      kinds.map { JSON.Member($0, ["type": "integer"]) } + [
        JSON.Member("leads", ["type": "integer"]), JSON.Member("subscriptions", ["type": "integer"]),
        JSON.Member("unindexed", ["type": "integer"]),
        JSON.Member("isComplete", ["type": "boolean"]),
      ]),
  ]
}
