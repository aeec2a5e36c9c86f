import Contract
import Host
import Limits
import Wire

extension OperationsPages {
  /// Returns the metrics page in Prometheus' text format.
  func metricsText() async -> String {
    let counts = metrics.snapshot
    var text = PrometheusText()
    addGateway(counts, to: &text)
    addRequests(counts, to: &text)
    await addProcesses(to: &text)
    return text.text
  }

  private func addGateway(_ counts: Metrics.Snapshot, to text: inout PrometheusText) {
    text.begin("leadpipe_build_info", .gauge, "The version of the gateway; the value is always 1.")
    text.add(1, ["version": Build.version])
    text.begin("leadpipe_start_time_seconds", .gauge, "The start time of the gateway in Unix seconds.")
    text.add(Double(metrics.startedAt.milliseconds) / 1000)
    text.begin("leadpipe_uptime_seconds", .gauge, "The time since the start of the gateway.")
    text.add(metrics.uptime.seconds)
    text.begin("leadpipe_ready", .gauge, "1 if /-/ready returns 200, else 0.")
    text.add(readiness.reason == nil ? 1 : 0)
    text.begin("leadpipe_connections", .gauge, "Open client connections.")
    text.add(counts.connections)
    text.begin("leadpipe_readers_dropped_total", .counter, "Connections closed because their clients did not read.")
    text.add(counts.droppedReaders)
    text.begin("leadpipe_reloads_total", .counter, "Reloads, by result: the new handlers were taken or refused.")
    text.add(counts.reloads, ["result": "taken"])
    text.add(counts.failedReloads, ["result": "refused"])
    text.begin("leadpipe_log_lines_left_out_total", .counter, "Log lines about a 503 that were only counted.")
    text.add(counts.droppedLogLines)
  }

  private func addRequests(_ counts: Metrics.Snapshot, to text: inout PrometheusText) {
    text.begin("leadpipe_requests_total", .counter, "Answered requests; the route is its pattern (- if there is none).")
    // Failures are there from the start, so that the first one is an increase.
    let failures = endpoints.set.endpoints.flatMap { endpoint in
      endpoint.handler.description.routes.map { route in
        (Metrics.RequestLabels(route: route.path, method: route.method, statusClass: "5xx"), 0)
      }
    }
    let requests = counts.requests.merging(failures) { count, _ in count }
    for (kind, count) in requests.sorted(by: { $0.key < $1.key }) {
      text.add(count, ["route": kind.route, "method": kind.method, "status": kind.statusClass])
    }
    text.begin("leadpipe_rate_limited_total", .counter, "Requests refused by a rate limit, by its class.")
    let classes = RateClass.allCases.map { ($0.rawValue, 0) } + [("refused-keys", 0)]
    for (rateClass, count) in counts.rateLimited.merging(classes, uniquingKeysWith: { count, _ in count })
      .sorted(by: { $0.key < $1.key })
    {
      text.add(count, ["class": rateClass])
    }
    let handlers = counts.handlers.sorted { $0.key < $1.key }
    text.begin("leadpipe_requests_in_flight", .gauge, "Complete requests that have no reply yet.")
    for (name, own) in handlers { text.add(own.inFlight, ["handler": name]) }
    text.begin("leadpipe_requests_refused_total", .counter, "Requests that no process took, by reason.")
    for (name, own) in handlers {
      // From the start, so that the first refusal is an increase.
      for reason in AdmissionRefusal.allCases.map(\.label) {
        text.add(own.refused[reason] ?? 0, ["handler": name, "reason": reason])
      }
    }
    text.begin("leadpipe_request_queue_seconds", .histogram, "Time until a process took the request.")
    for (name, own) in handlers { text.add(own.queue, ["handler": name]) }
    text.begin("leadpipe_request_start_seconds", .histogram, "Time until the request's own process was running.")
    for (name, own) in handlers { text.add(own.start, ["handler": name]) }
    text.begin("leadpipe_request_run_seconds", .histogram, "Time from then to the reply.")
    for (name, own) in handlers { text.add(own.run, ["handler": name]) }
  }

  private func addProcesses(to text: inout PrometheusText) async {
    var rows: [(name: String, status: ProcessStatus, counts: ProcessStatistics.Counts)] = []
    for endpoint in endpoints.set.endpoints {
      let name = endpoint.handler.description.name
      rows.append((name, await endpoint.processes.status(of: name), processes.statistics[name]))
    }
    let feeds = endpoints.set.feeds.map { ($0.pool.handler.description.name, $0) }
    for (name, feed) in feeds { rows.append((name, await feed.pool.status(of: name), processes.statistics[name])) }
    text.begin("leadpipe_requests_waiting", .gauge, "Requests that wait for a process.")
    for (name, status, _) in rows { text.add(status.waiting, ["handler": name]) }
    text.begin("leadpipe_processes", .gauge, "Processes by state.")
    for (name, status, _) in rows {
      for (state, count) in status.processes { text.add(count, ["handler": name, "state": state]) }
    }
    text.begin("leadpipe_process_starts_total", .counter, "Attempts to start a process.")
    for (name, _, counts) in rows { text.add(counts.starts, ["handler": name]) }
    text.begin("leadpipe_process_start_failures_total", .counter, "Processes that could not be started.")
    for (name, _, counts) in rows { text.add(counts.failedStarts, ["handler": name]) }
    text.begin("leadpipe_process_crashes_total", .counter, "Processes that ended unexpectedly.")
    for (name, _, counts) in rows { text.add(counts.crashes, ["handler": name]) }
    text.begin(
      "leadpipe_process_kills_total", .counter,
      "Processes that the gateway ended: too slow, too large a reply, or no valid reply.")
    for (name, _, counts) in rows { text.add(counts.kills, ["handler": name]) }
    text.begin("leadpipe_listeners", .gauge, "Clients that are subscribed to a feed.")
    for (name, feed) in feeds { text.add(feed.counts.subscribers, ["handler": name]) }
    text.begin(
      "leadpipe_listeners_dropped_total", .counter, "Subscribers that were disconnected because they stopped reading.")
    for (name, feed) in feeds { text.add(feed.counts.dropped, ["handler": name]) }
  }
}
