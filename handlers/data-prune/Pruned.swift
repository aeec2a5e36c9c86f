import Wire

/// What several batches took away, together.
struct Pruned {
  private static let kinds = ["events", "deliveries", "attempts", "idempotencyKeys"]
  private var counts = [Int](repeating: 0, count: kinds.count)
  /// Whether the last batch found nothing more to take.
  private(set) var isComplete = false

  var rows: Int { counts.reduce(0, +) }

  mutating func add(_ batch: JSON) {
    for (index, kind) in Self.kinds.enumerated() { counts[index] += batch[kind]?.integer ?? 0 }
    isComplete = batch["isComplete"]?.bool ?? true
  }

  var document: JSON {
    let numbers = zip(Self.kinds, counts).map { JSON.Member($0.0, JSON($0.1)) }
    return JSON.object(numbers).setting("isComplete", .bool(isComplete))
  }

  static let schema: JSON = [
    "type": "object",
    "properties": .object(
      kinds.map { JSON.Member($0, ["type": "integer"]) } + [JSON.Member("isComplete", ["type": "boolean"])]),
  ]
}
