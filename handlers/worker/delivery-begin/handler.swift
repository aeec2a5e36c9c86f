// The worker's second step: marks claimed deliveries as being sent. A delivery whose lease has passed to another worker
// is passed on as `lost`.
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "delivery-begin", kind: .step, summary: "Marks a claimed delivery as being sent, under its fence",
    environment: Database.settings + Pace.settings + [Delivery.leaseSetting], input: .init(Delivery.schema),
    output: .init(Delivery.schema)),
  batchSize: 100
) { settings, _ throws(Problem) in
  let database = Database(settings)
  let leaseSeconds = Delivery.leaseSeconds(settings)
  let paces = Pace.intervals(settings)
  return { requests, log in
    Delivery.answer(requests, where: { !$0.hasOutcome }) { deliveries, deadline throws(Problem) in
      let begunAt = Instant.now
      let beginnings = try database.attempt(.beginDeliveries, log: log) { () throws(StoreFailure) in
        try database.begin(deliveries, leaseSeconds: leaseSeconds, paces: paces, deadline: deadline)
      }
      return zip(deliveries, beginnings).map { delivery, beginning in
        delivery.after(beginning, at: begunAt, leaseSeconds: leaseSeconds, log: log).document
      }
    }
  }
}
