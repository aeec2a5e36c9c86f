// GET /health: what is configured, whether the database answers, when a worker was last seen, what is waiting.
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

Handler(
  Description(
    name: "health-check", kind: .endpoint, summary: "Says whether leads are taken and notifications go out",
    routes: [.init("GET", "/health")], bodyLimit: 1024, timeLimitMs: 5000,
    environment: Database.settings + [Recipient.setting(required: false), .number("PORT", 0...65_535)],
    input: .init(["type": "object"]),
    output: .init(
      Health.schema, statuses: [200, 503], headers: ["properties": ["Cache-Control": ["const": "no-store"]]]))
) { settings throws(Problem) in
  let database = Database(settings)
  return { request, log throws(Problem) in
    // A stranger who watched the figures move could tell what a request of his has set in motion: he is told of what is a
    // minute old. Whoever starts the handler by hand is the operator.
    let asked: JSON = request.isBare ? [:] : ["olderThanSeconds": 60]
    let health = Health(
      report: try? database.call(.healthReport, asked, deadline: request.deadline ?? .now, log: log),
      recipients: Recipient.configured(settings), port: settings.number("PORT", default: 4000), at: request.receivedAt)
    return Reply(status: health.isGood ? 200 : 503, health.document, headers: ["cache-control": "no-store"])
  }
}.run()
