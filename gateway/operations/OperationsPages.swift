import Contract
import Host
import Wire

/// The pages for the operator. They use no handler and no database.
struct OperationsPages: Sendable {
  struct PageReply: Sendable {
    var status = 200
    var type = "text/plain; charset=utf-8"
    let text: String
  }

  /// The settings of the gateway, without secrets.
  let settings: JSON
  let endpoints: CurrentEndpoints
  let processes: EndpointProcesses
  let metrics: Metrics
  let readiness: Readiness

  /// Returns the page at `path`; a list of all pages with status 404 if there is none.
  func page(_ path: String) async -> PageReply {
    switch path {
    case "/-/live": return PageReply(text: "live\n")
    case "/-/ready":
      let reason = readiness.reason
      return PageReply(status: reason == nil ? 200 : 503, text: (reason ?? "ready") + "\n")
    case "/-/metrics": return PageReply(type: PrometheusText.contentType, text: await metricsText())
    case "/-/status": return PageReply(type: "application/json", text: await status().text + "\n")
    default: return PageReply(status: 404, text: "/-/live /-/ready /-/metrics /-/status\n")
    }
  }
}
