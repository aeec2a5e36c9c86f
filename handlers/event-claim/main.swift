// The worker's first step: plans a delivery for each channel of each new event, and leases what is due, a line each.
import Handler
import Leads
import Store
import Wire

Handler(
  Description(
    name: "event-claim", kind: .step, summary: "Plans and leases due deliveries; writes them as NDJSON",
    environment: Database.settings + [Channel.setting(required: true), .number("DELIVERY_LEASE_SECONDS", 1...3600)],
    input: Claim.form.schema, output: DeliveryLine.schema)
) { settings throws(Problem) in
  let database = Database(settings)
  let channels = Channel.configured(settings)
  let leaseSeconds = settings.number("DELIVERY_LEASE_SECONDS", default: 30)
  return { request, log throws(Problem) in
    let claim = try Claim(checking: try request.json())
    let reply = try database.claim(
      worker: claim.worker, version: Claim.version, leaseSeconds: leaseSeconds,
      channels: channels.map { ($0, claim.limit(for: $0)) }, deadline: request.deadline ?? .now, log: log)
    if let unrouted = reply["unrouted"]?.integer, unrouted > 0 {
      log.warn("Events without a configured channel", ["count": String(unrouted)])
    }
    return Reply(lines: reply["deliveries"]?.array ?? [])
  }
}.run()
