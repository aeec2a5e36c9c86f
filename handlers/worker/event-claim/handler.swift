// The worker's first step: plans a delivery for each recipient of each new event, leases due deliveries, and writes one
// line for each.
import Contract
import Deliveries
import Forms
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "event-claim", kind: .step, summary: "Plans and leases due deliveries; writes them as NDJSON",
    environment: Database.settings + [
      Recipient.setting(required: true), Delivery.leaseSetting, Delivery.unknownSetting, Delivery.directSetting,
    ], input: .init(Claim.form.schema), output: .init(Delivery.schema))
) { settings throws(Problem) in
  let database = Database(settings)
  let recipients = Recipient.configured(settings)
  let leaseSeconds = Delivery.leaseSeconds(settings)
  let (unknown, isDirect) = (Delivery.unknownOutcome(settings), Delivery.isDirect(settings))
  return { request, log throws(Problem) in
    let body = try request.json()
    if Release.isRequested(by: body) {
      let argument = try Release(checking: body).argument
      let released = try database.attempt(.releaseDeliveries, log: log) { () throws(StoreFailure) in
        try database.release(argument, deadline: request.deadline ?? .steady)
      }
      return Reply(["released": JSON(released)])
    }
    let claimed = try Claim(checking: body, for: recipients).lease(
      from: database, leaseSeconds: leaseSeconds, unknown: unknown, isDirect: isDirect,
      deadline: request.deadline ?? .steady, log: log)
    if claimed.unroutedEvents > 0 {
      log.warn("Events without a configured channel", ["count": String(claimed.unroutedEvents)])
    }
    var lines = Reply(lines: claimed.deliveries)
    lines.headers[Claim.nextDueHeader] = claimed.nextDueInMs.map { String($0) }
    return lines
  }
}
