// Plans the receipts of new leads, in small batches, within their limits.
import Contract
import Deliveries
import Forms
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "receipt-sweep", kind: .step, summary: "Plans receipts for the visitors of new leads",
    environment: Database.settings + [Recipient.setting(required: true), Receipts.setting, Receipts.rate],
    input: .init(["type": "object"]), output: .init(Sweep.schema))
) { settings throws(Problem) in
  let database = Database(settings)
  let recipients = Recipient.configured(settings)
  let perMinute = Receipts.perMinute(settings)
  let isOn = Receipts.areOn(settings)
  var lacksEmail = !recipients.contains { $0.channel == ChannelKind.email.name }
  return { request, log throws(Problem) in
    guard isOn else { return Reply(Sweep().document) }
    if lacksEmail { log.warn("RECEIPTS is on and email is not configured: no receipts") }
    lacksEmail = false
    let deadline = request.deadline ?? .steady
    let end = min(deadline, Instant.steady.adding(seconds: 6))
    var sweep = Sweep()
    repeat {
      sweep.add(
        try database.attempt(.sweepReceipts, log: log) { () throws(StoreFailure) in
          try database.sweepReceipts(perMinute: perMinute, recipients: recipients, deadline: deadline)
        })
    } while sweep.goesOn && Instant.steady.adding(seconds: 2) < end
    if sweep.hasDecided { log.info("Receipt sweep", sweep.facts) }
    return Reply(sweep.document)
  }
}
