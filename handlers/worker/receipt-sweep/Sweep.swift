import Store
import Wire

/// The totals of the batches of a sweep.
struct Sweep {
  private var planned = 0
  private var limited = 0
  private var last: SweptReceipts?

  /// True if something is left to do that no other sweep does.
  var goesOn: Bool { last.map { !$0.isComplete && !$0.isBusy } ?? true }

  /// True if a lead has got a receipt, or none because of a limit.
  var hasDecided: Bool { planned + limited > 0 }

  mutating func add(_ batch: SweptReceipts) {
    planned += batch.planned
    limited += batch.limited
    last = batch
  }

  /// A second if something is left, because another session has locked it or is doing it; nil if nothing is.
  private var nextDueInMs: Int? { last.map { $0.isComplete && $0.waiting == 0 } ?? true ? nil : 1000 }

  var facts: KeyValuePairs<String, String> { ["planned": String(planned), "limited": String(limited)] }

  var document: JSON { ["planned": JSON(planned), "limited": JSON(limited), "nextDueInMs": JSON(nextDueInMs)] }

  static let schema: JSON = [
    "type": "object", "required": ["planned", "limited", "nextDueInMs"],
    "properties": [
      "planned": ["type": "integer"], "limited": ["type": "integer"], "nextDueInMs": ["type": ["integer", "null"]],
    ],
  ]
}
