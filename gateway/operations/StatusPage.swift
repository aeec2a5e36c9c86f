import Contract
import Glibc
import Host
import Wire

extension OperationsPages {
  /// Returns the status page: the version, the settings, and each handler with its processes and its last failure.
  func status() async -> JSON {
    let counts = metrics.snapshot
    var own: [JSON] = []
    for endpoint in endpoints.set.endpoints { own.append(await status(of: endpoint, counts)) }
    return [
      "version": .string(Build.version), "pid": JSON(Int(getpid())), "startedAt": .string(metrics.startedAt.iso8601),
      "uptimeSeconds": JSON(Int(metrics.uptime.seconds)), "ready": .bool(readiness.reason == nil),
      "reason": readiness.reason.map { .string($0) } ?? .null, "connections": JSON(counts.connections),
      "settings": settings, "handlers": .array(own),
    ]
  }

  private func status(of endpoint: Endpoint, _ counts: Metrics.Snapshot) async -> JSON {
    let handler = endpoint.handler
    let name = handler.description.name
    let own = counts.handlers[name] ?? Metrics.HandlerCounts()
    let current = await endpoint.processes.status(of: name)
    let ended = processes.statistics[name]
    let statuses = own.statusClasses.sorted { $0.key < $1.key }.map { JSON.Member($0.key, JSON($0.value)) }
    var failure = JSON.null
    if let last = own.lastFailure {
      failure = ["at": .string(last.at.iso8601), "status": JSON(last.status), "reason": .string(last.reason)]
    }
    let feed = endpoint.feed.map { feed -> JSON in
      let (subscribers, dropped) = feed.counts
      let name = feed.pool.handler.description.name
      return ["name": .string(name), "listeners": JSON(subscribers), "dropped": JSON(dropped)]
    }
    return [
      "name": .string(name), "mode": .string(processes.mode(of: handler).rawValue),
      "class": .string(handler.trust.rawValue), "routes": .array(handler.description.routes.map { .string($0.key) }),
      "inFlight": JSON(own.inFlight), "waiting": JSON(current.waiting),
      "processes": .object(current.processes.map { JSON.Member($0.key, JSON($0.value)) }),
      "starts": JSON(ended.starts), "failedStarts": JSON(ended.failedStarts), "crashes": JSON(ended.crashes),
      "kills": JSON(ended.kills), "answered": .object(statuses), "lastFailure": failure,
      "feed": feed ?? .null,
    ]
  }
}
