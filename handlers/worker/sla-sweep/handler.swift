// Emits the SLA warnings and breaches that are due, in small batches, and replies when the next one is. Any number of
// sweeps can run at once: each warning and breach is emitted once.
import Contract
import Leads
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "sla-sweep", kind: .step, summary: "Emits the SLA warnings and breaches that are due",
    environment: Database.settings + OfficeHours.settings, input: .init(["type": "object"]),
    output: .init(Sweep.schema))
) { settings throws(Problem) in
  let database = Database(settings)
  let hours = try OfficeHours(settings)
  return { request, log throws(Problem) in
    // Leaves time for the last batch to finish.
    let end = min(request.deadline ?? .steady, Instant.steady.adding(seconds: 7))
    var sweep = Sweep(hours)
    repeat {
      sweep.add(
        try database.attempt(.sweepSLA, log: log) { () throws(StoreFailure) in
          try database.sweepSLA(warnBefore: sweep.warnBefore, deadline: request.deadline ?? .steady)
        })
    } while sweep.goesOn && Instant.steady.adding(seconds: 2) < end
    if sweep.hasEmitted { log.info("SLA sweep", sweep.facts) }
    return Reply(sweep.document)
  }
}
