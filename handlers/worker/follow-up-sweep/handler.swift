// Reminds agents of the follow-ups that are due, in small batches, makes the daily digests, and replies when something
// is due next. Any number of sweeps can run at once: each reminder and digest is made once.
import Contract
import Deliveries
import Leads
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "follow-up-sweep", kind: .step, summary: "Reminds agents of follow-ups that are due, and makes daily digests",
    environment: Database.settings + [Recipient.setting(required: true)] + DigestSchedule.settings,
    input: .init(["type": "object"]), output: .init(Sweep.schema))
) { settings throws(Problem) in
  let database = Database(settings)
  let recipients = Recipient.configured(settings)
  let schedule = try DigestSchedule(settings)
  return { request, log throws(Problem) in
    let deadline = request.deadline ?? .steady
    // Leaves time for the last batch and the digests to finish.
    let end = min(deadline, Instant.steady.adding(seconds: 6))
    var sweep = Sweep()
    repeat {
      sweep.add(
        try database.attempt(.sweepFollowUps, log: log) { () throws(StoreFailure) in
          try database.sweepFollowUps(recipients: recipients, deadline: deadline)
        })
    } while sweep.goesOn && Instant.steady.adding(seconds: 2) < end
    sweep.digest(schedule, recipients, in: database, until: deadline, log: log)
    if sweep.hasEmitted { log.info("Follow-up sweep", sweep.facts) }
    return Reply(sweep.document(schedule))
  }
}
