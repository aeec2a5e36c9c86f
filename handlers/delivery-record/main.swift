// The worker's last step: writes down what happened to a delivery and when it is tried again, and closes its event.
import Handler
import Leads
import Store
import Wire

Handler(
  Description(
    name: "delivery-record", kind: .step, summary: "Records the outcome of a delivery under its fence",
    environment: Database.settings + [DeliveryLine.unknownSetting], input: DeliveryLine.schema,
    output: DeliveryLine.schema)
) { settings throws(Problem) in
  let database = Database(settings)
  let unknown = DeliveryLine.unknownOutcome(settings)
  return { request, log throws(Problem) in
    let delivery = try DeliveryLine(of: request)
    if delivery.outcome?.class == .lost { return Reply(delivery.document) }
    let reply = try record(delivery, unknown: unknown, from: request, in: database, log: log)
    for event in reply["events"]?.array ?? [] { tell(event, after: delivery, to: log) }
    let isRecorded = reply["recorded"]?.array?.isEmpty == false
    if !isRecorded { log.warn("Delivery \(delivery.id.text) came back too late to be recorded: another worker has it") }
    return Reply(delivery.document.setting("recorded", .bool(isRecorded)))
  }
}.run()
