import Deliveries
import Wire

/// A batch of a receipt sweep.
package struct SweptReceipts: Sendable {
  package let planned: Int
  /// How many were not planned because of a limit.
  package let limited: Int
  /// How many leads another session has locked.
  package let waiting: Int
  /// True if another sweep is at work, so this one did nothing.
  package let isBusy: Bool
  /// True if nothing else is left.
  package let isComplete: Bool
}

extension Database {
  /// Plans one batch of receipts. `recipients` are the configured ones: without email there are no receipts.
  package func sweepReceipts(
    perMinute: Int, recipients: [Recipient], deadline: Instant
  ) throws(StoreFailure) -> SweptReceipts {
    let reply = try call(
      .sweepReceipts, ["perMinute": JSON(perMinute), "channels": .array(recipients.map(\.document))],
      deadline: deadline)
    guard let planned = reply["planned"]?.integer, let isComplete = reply["isComplete"]?.bool else { throw .noAnswer }
    return SweptReceipts(
      planned: planned, limited: reply["limited"]?.integer ?? 0, waiting: reply["waiting"]?.integer ?? 0,
      isBusy: reply["isBusy"]?.bool == true, isComplete: isComplete)
  }
}
