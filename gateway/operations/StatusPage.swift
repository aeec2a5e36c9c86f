import Glibc
import Handler
import Host
import Wire

extension Operations {
  /// The same for a human: what runs, how it is set, and what went wrong last. No setting that is a secret.
  func status() async -> JSON {
    let counts = metrics.counts
    var own: [JSON] = []
    for endpoint in handlers.set.endpoints { own.append(await status(of: endpoint, counts)) }
    return [
      "version": .string(Build.version), "pid": JSON(Int(getpid())), "startedAt": .string(metrics.startedAt.iso8601),
      "uptimeSeconds": JSON(Int(metrics.uptime.seconds)), "ready": .bool(health.reason == nil),
      "reason": health.reason.map { .string($0) } ?? .null, "connections": JSON(counts.connections),
      "settings": settings.document, "handlers": .array(own),
    ]
  }

  private func status(of endpoint: Endpoint, _ counts: Metrics.Counts) async -> JSON {
    let handler = endpoint.handler
    let name = handler.description.name
    let own = counts.handlers[name] ?? Metrics.HandlerCounts()
    let standing = await endpoint.processes.standing(of: name)
    let ledger = processes.ledger[name]
    let statuses = own.statusClasses.sorted { $0.key < $1.key }.map { JSON.Member($0.key, JSON($0.value)) }
    var failure = JSON.null
    if let last = own.lastFailure {
      failure = ["at": .string(last.at.iso8601), "status": JSON(last.status), "reason": .string(last.reason)]
    }
    let feed = endpoint.feed.map { feed -> JSON in
      let (listeners, dropped) = feed.counts
      let name = feed.pool.handler.description.name
      return ["name": .string(name), "listeners": JSON(listeners), "dropped": JSON(dropped)]
    }
    return [
      "name": .string(name), "mode": .string(processes.mode(of: handler).rawValue),
      "class": .string(handler.trust.rawValue), "routes": .array(handler.description.routes.map { .string($0.key) }),
      "inFlight": JSON(own.inFlight), "waiting": JSON(standing.waiting),
      "processes": .object(standing.processes.map { JSON.Member($0.key, JSON($0.value)) }),
      "starts": JSON(ledger.starts), "failedStarts": JSON(ledger.failedStarts), "crashes": JSON(ledger.crashes),
      "kills": JSON(ledger.kills), "answered": .object(statuses), "lastFailure": failure,
      "feed": feed ?? .null,
    ]
  }
}
