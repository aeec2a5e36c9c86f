// The worker's second step: marks a claimed delivery as being sent. One whose lease has passed goes on as lost.
import Handler
import Leads
import Store
import Wire

Handler(
  Description(
    name: "delivery-begin", kind: .step, summary: "Marks a claimed delivery as being sent, under its fence",
    environment: Database.settings + [DeliveryLine.leaseSetting], input: DeliveryLine.schema,
    output: DeliveryLine.schema)
) { settings throws(Problem) in
  let database = Database(settings)
  let leaseSeconds = DeliveryLine.leaseSeconds(settings)
  return { request, log throws(Problem) in
    var delivery = try DeliveryLine(of: request)
    if delivery.hasOutcome { return Reply(delivery.document) }
    switch try database.begin(delivery, leaseSeconds: leaseSeconds, deadline: request.deadline ?? .now, log: log) {
    case .begun: break
    case .paused:
      log.info("Delivery \(delivery.id.text) was given back: its channel is paused")
      delivery.outcome = DeliveryOutcome(.lost, reason: "its channel was paused; it has been given back")
    case .lost:
      log.warn("Delivery \(delivery.id.text) was lost to another worker")
      delivery.outcome = DeliveryOutcome(.lost)
    }
    return Reply(delivery.document)
  }
}.run()
