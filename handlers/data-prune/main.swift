// Housekeeping, beside deliveries: takes away what is finished and older than RETENTION_DAYS, batch after small batch.
import Handler
import Store
import Wire

Handler(
  Description(
    name: "data-prune", kind: .step, summary: "Deletes finished events, deliveries and tries that are old",
    environment: Database.settings + [Retention.setting], input: ["type": "object"], output: Pruned.schema)
) { settings throws(Problem) in
  let database = Database(settings)
  let retention = Retention(settings)
  return { request, log throws(Problem) in
    // Time for the last batch to end in.
    let end = min(request.deadline ?? .now, Instant.now.adding(seconds: 7))
    var pruned = Pruned()
    repeat {
      pruned.add(try database.prune(retention, deadline: request.deadline ?? .now, log: log))
    } while !pruned.isComplete && Instant.now.adding(seconds: 2) < end
    if pruned.rows > 0 { log.info("Pruned", ["rows": String(pruned.rows), "isComplete": String(pruned.isComplete)]) }
    return Reply(pruned.document)
  }
}.run()
