// GET /health: reports the configured channels, the state of the database, when a worker was last seen, and the queue.
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "health-check", kind: .endpoint, summary: "Reports the health of the database, the worker and the queue",
    routes: [.init("GET", "/health")], bodyLimit: 1024, timeLimitMs: 5000,
    environment: Database.settings + [
      Recipient.setting(required: false), .number("PORT", 0...65_535), Database.pooler,
    ],
    input: .init(["type": "object"]),
    output: .init(
      Health.schema, statuses: [200, 503], headers: ["properties": ["Cache-Control": ["const": "no-store"]]]))
) { settings throws(Problem) in
  let database = Database.ofProcess(settings)
  return { request, log throws(Problem) in
    // Public callers get figures that are a minute old: from current ones a client could see the effects of its own
    // request. A bare request comes from the operator, who gets current figures.
    // A new connection each time shows whether capture could connect now.
    defer { database.close() }
    let asked: JSON = request.isBare ? [:] : ["olderThanSeconds": 60]
    let result = Result { () throws(Problem) in
      try database.call(.healthReport, asked, deadline: request.deadline ?? .steady, log: log)
    }
    let health = Health(
      result: result, pooler: PoolerState(settings, database), isPublic: !request.isBare,
      recipients: Recipient.configured(settings),
      port: settings.number("PORT", default: 4000),
      at: request.receivedAt)
    return Reply(status: health.isGood ? 200 : 503, health.document, headers: ["cache-control": "no-store"])
  }
}
