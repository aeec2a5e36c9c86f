// Emits the SLA warnings and breaches that are due, in small batches, assigns overdue leads to agents, and replies when
// the next one is due. Any number of sweeps can run at once: each warning, breach and assignment happens once.
import Contract
import Leads
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "sla-sweep", kind: .step, summary: "Emits the SLA warnings and breaches that are due, and assigns leads",
    environment: Database.settings + OfficeHours.settings + AutoAssign.settings, input: .init(["type": "object"]),
    output: .init(Sweep.schema))
) { settings throws(Problem) in
  let database = Database(settings)
  let hours = try OfficeHours(settings)
  let automation = AutoAssign(settings)
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
    sweep.assign(automation, in: database, until: end, request, log: log)
    if sweep.hasEmitted { log.info("SLA sweep", sweep.facts) }
    return Reply(sweep.document)
  }
}
