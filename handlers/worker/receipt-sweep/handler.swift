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
    input: .init(["type": "object"]), output: .init(schema))
) { settings throws(Problem) in
  let database = Database(settings)
  let recipients = Recipient.configured(settings)
  let perMinute = Receipts.perMinute(settings)
  let isOn = Receipts.areOn(settings)
  var hasWarned = false
  return { request, log throws(Problem) in
    var (planned, limited, waiting, isComplete) = (0, 0, 0, true)
    guard isOn else { return Reply(document(planned, limited, nextDueInMs: nil)) }
    if !hasWarned, !recipients.contains(where: { $0.channel == ChannelKind.email.name }) {
      log.warn("RECEIPTS is on and email is not configured: no receipts")
      hasWarned = true
    }
    let deadline = request.deadline ?? .steady
    let end = min(deadline, Instant.steady.adding(seconds: 6))
    repeat {
      let swept = try database.attempt(.sweepReceipts, log: log) { () throws(StoreFailure) in
        try database.sweepReceipts(perMinute: perMinute, recipients: recipients, deadline: deadline)
      }
      planned += swept.planned
      limited += swept.limited
      waiting = swept.waiting
      isComplete = swept.isComplete
      if swept.isBusy { break }
    } while !isComplete && Instant.steady.adding(seconds: 2) < end
    if planned + limited > 0 {
      log.info("Receipt sweep", ["planned": String(planned), "limited": String(limited)])
    }
    return Reply(document(planned, limited, nextDueInMs: isComplete && waiting == 0 ? nil : 1000))
  }
}

private func document(_ planned: Int, _ limited: Int, nextDueInMs: Int?) -> JSON {
  ["planned": JSON(planned), "limited": JSON(limited), "nextDueInMs": JSON(nextDueInMs)]
}

private let schema: JSON = [
  "type": "object", "required": ["planned", "limited", "nextDueInMs"],
  "properties": [
    "planned": ["type": "integer"], "limited": ["type": "integer"], "nextDueInMs": ["type": ["integer", "null"]],
  ],
]
