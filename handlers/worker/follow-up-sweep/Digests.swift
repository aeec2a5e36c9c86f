import Contract
import Deliveries
import Leads
import Store
import StoreAccess
import Wire

extension Sweep {
  /// Makes the digests of the day if they are due. If it fails, what was emitted before is still to be delivered: it logs
  /// the failure, and the next sweep follows after five seconds.
  mutating func digest(
    _ schedule: DigestSchedule?, _ recipients: [Recipient], in database: Database, until deadline: Instant, log: Log
  ) {
    guard let day = digestDay(schedule) else { return }
    do throws(Problem) {
      let digested = try database.attempt(.digestFollowUps, log: log) { () throws(StoreFailure) in
        try database.digestFollowUps(day: day.text, end: day.end, recipients: recipients, deadline: deadline)
      }
      if digested.isMuted { log.warn("DIGEST is set and email is not configured: no digests", ["day": day.text]) }
      add(digested)
    } catch {
      log.warn("The digests failed", ["day": day.text, "code": error.code.rawValue])
      hasFailed = true
    }
  }
}
