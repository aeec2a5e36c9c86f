// Housekeeping in small batches, while deliveries continue: deletes finished rows that are older than RETENTION_DAYS,
// erases closed leads that are older than RETENTION_LEADS_DAYS, and updates the search index of changed conversations.
import Contract
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "data-prune", kind: .step, summary: "Deletes old rows, erases old leads and updates the search index",
    environment: Database.settings + [Retention.setting, Retention.leadsSetting], input: .init(["type": "object"]),
    output: .init(Pruned.schema)
  )
) { settings throws(Problem) in
  let database = Database(settings)
  let retention = Retention(settings)
  return { request, log throws(Problem) in
    // Leaves time for the last batch to finish.
    let end = min(request.deadline ?? .steady, Instant.steady.adding(seconds: 7))
    var pruned = Pruned()
    repeat {
      pruned.add(
        try database.attempt(.prune, log: log) { () throws(StoreFailure) in
          try database.prune(olderThan: retention.days, deadline: request.deadline ?? .steady)
        })
    } while !pruned.isPruned && Instant.steady.adding(seconds: 2) < end
    var before: Int
    repeat {
      before = pruned.unindexed
      pruned.unindexed = try database.attempt(.indexWords, log: log) { () throws(StoreFailure) in
        try database.indexWords(deadline: request.deadline ?? .steady)
      }
    } while pruned.unindexed > 0 && pruned.unindexed != before && Instant.steady.adding(seconds: 2) < end
    try pruned.eraseOldLeads(retention, in: database, request, until: end, log: log)
    if pruned.rows > 0 { log.info("Pruned", ["rows": String(pruned.rows), "isComplete": String(pruned.isComplete)]) }
    return Reply(pruned.document)
  }
}
