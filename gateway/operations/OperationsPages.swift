import Handler
import Host
import Wire

/// What the gateway tells its operator of itself. Nothing here asks a handler or the database.
struct Operations: Sendable {
  struct Page: Sendable {
    var status = 200
    let type: String
    let text: String
  }

  let settings: GatewaySettings
  let handlers: CurrentHandlers
  let processes: Processes
  let metrics: Metrics
  let health: Health

  func page(_ path: String) async -> Page {
    switch path {
    case "/-/live": Page(type: "text/plain; charset=utf-8", text: "live\n")
    case "/-/ready": readiness
    case "/-/metrics": Page(type: PrometheusText.contentType, text: await metricsText())
    case "/-/status": Page(type: "application/json", text: await status().text + "\n")
    default: Page(status: 404, type: "text/plain; charset=utf-8", text: "/-/live /-/ready /-/metrics /-/status\n")
    }
  }

  private var readiness: Page {
    let reason = health.reason
    return Page(status: reason == nil ? 200 : 503, type: "text/plain; charset=utf-8", text: (reason ?? "ready") + "\n")
  }
}
