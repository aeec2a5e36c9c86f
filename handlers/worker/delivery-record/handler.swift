// The worker's last step: records the outcomes of deliveries, schedules retries, and closes finished events.
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "delivery-record", kind: .step, summary: "Records the outcome of a delivery under its fence",
    environment: Database.settings + [Delivery.unknownSetting], input: .init(Delivery.schema),
    output: .init(Delivery.schema)),
  batchSize: 100
) { settings, _ throws(Problem) in
  let database = Database(settings)
  let unknown = Delivery.unknownOutcome(settings)
  return { requests, log in
    Delivery.answer(requests, where: { $0.outcomeClass != .lost }) { deliveries, deadline throws(Problem) in
      try record(deliveries, unknown: unknown, at: .now, in: database, deadline: deadline, log: log)
    }
  }
}
