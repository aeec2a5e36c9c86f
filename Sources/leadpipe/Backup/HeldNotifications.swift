import ArgumentParser
import Glibc
import Store
import Wire

/// Sends what a restore has held.
struct HeldNotifications {
  let by: JSON

  /// What one call of a function takes.
  private static let batch = 1000

  init(by name: JSON) { by = name }

  func release() throws {
    let url = try KnownSettings.ownerURL()
    let owner = Database(url: url, statementSeconds: 60)
    let deadline = Instant.steady.adding(seconds: 60)
    let (deliveries, events, leads) = try BackupFailure.translating(url) { () throws(StoreFailure) in
      (
        try owner.heldDeliveries(deadline: deadline), try owner.heldEvents(deadline: deadline),
        try owner.heldUnsentLeads(deadline: deadline)
      )
    }
    let database = try OperatorDatabase()
    var (sent, refused) = (0, 0)
    for ids in Self.batches(deliveries) {
      let reply = try database.callInBatches(.retryDeliveries, ["ids": .array(ids.map(JSON.string)), "by": by])
      sent += reply.deliveries.count
      refused += reply.refused.count
    }
    var planned = 0
    for ids in Self.batches(events) {
      planned += try database.callInBatches(.replayEvents, ["ids": .array(ids.map(JSON.string)), "by": by]).events.count
    }
    try BackupFailure.translating(url) { () throws(StoreFailure) in
      try owner.releaseUnsentLeads(deadline: .steady.adding(seconds: 60))
    }
    database.wakeWorkers()
    Console.print(
      "\(sent) notification\(sent == 1 ? "" : "s") and \(planned + leads) lead\(planned + leads == 1 ? "" : "s") without "
        + "notifications will be sent\n")
    if refused > 0 {
      Console.print(
        "\(refused) cannot be sent again: receipts, and what is about spam, erased leads or former agents\n")
    }
  }

  private static func batches(_ ids: [String]) -> [ArraySlice<String>] {
    stride(from: 0, to: ids.count, by: batch).map { ids[$0..<min($0 + batch, ids.count)] }
  }
}
