import Contract
import Store
import StoreAccess
import Wire

extension Sweep {
  /// Assigns leads in small batches. If it fails, what was emitted before is still to be delivered: it logs the failure,
  /// and the next sweep follows after five seconds.
  mutating func assign(
    _ automation: AutoAssign, in database: Database, until end: Instant, _ request: Request, log: Log
  ) {
    do throws(Problem) {
      while automation != .off, let served, Instant.steady.adding(seconds: 2) < end {
        let batch = try database.attempt(.assignLeads, log: log) { () throws(StoreFailure) in
          try database.assignLeads(
            includesNew: automation == .new, served: served, deadline: request.deadline ?? .steady)
        }
        if batch.lacksAgents { log.warn("Overdue leads cannot be assigned: there are no agents") }
        add(batch)
      }
    } catch {
      log.warn("Leads could not be assigned", ["code": error.code.rawValue])
      hasFailed = true
    }
  }
}
