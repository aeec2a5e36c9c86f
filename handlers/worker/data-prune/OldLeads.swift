import Contract
import Store
import StoreAccess
import Wire

extension Pruned {
  /// Settles merges of customers, and erases closed leads and caught newsletter addresses that are older than
  /// RETENTION_LEADS_DAYS, in small batches until nothing is left or little time is.
  mutating func eraseOldLeads(
    _ retention: Retention, in database: Database, _ request: Request, until end: Instant, log: Log
  ) throws(Problem) {
    repeat {
      let erased = try database.attempt(.prunePersons, log: log) { () throws(StoreFailure) in
        try database.prunePersons(unusedFor: retention.leadsDays, deadline: request.deadline ?? .steady)
      }
      leads += erased.leads
      subscriptions += erased.subscriptions
      hasOldLeads = !erased.isComplete
    } while hasOldLeads && Instant.steady.adding(seconds: 3) < end
    if subscriptions > 0 { log.info("Erased old spam", ["subscriptions": String(subscriptions)]) }
    if leads > 0 { log.info("Erased old leads", ["leads": String(leads)]) }
  }
}
