// The worker's second step: marks claimed deliveries as being sent. One whose lease has passed goes on as lost.
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

Handler(
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
        var delivery = delivery
        switch beginning {
        case .begun:
          delivery.begin(at: begunAt, sendBefore: begunAt.adding(seconds: leaseSeconds - Delivery.longestSend))
        case .paused:
          log.info("Delivery \(delivery.id.text) was given back: its channel is paused")
          delivery.outcome = DeliveryOutcome(.lost, reason: "its channel was paused; it has been given back")
        case .early:
          delivery.outcome = DeliveryOutcome(.lost, reason: "its channel's turn comes later; it has been given back")
        case .lost:
          log.warn("Delivery \(delivery.id.text) was lost to another worker")
          delivery.outcome = DeliveryOutcome(.lost)
        }
        return delivery.document
      }
    }
  }
}.run()
