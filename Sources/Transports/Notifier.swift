import Contract
import Deliveries
import Wire

extension Handler {
  /// The step that sends the deliveries of a channel by the provider that the settings choose. It is a filter: a delivery of
  /// the channel without an outcome is sent and passed on with its outcome; every other line is passed on as it came. Where
  /// a setting is missing or wrong the step still starts, because other channels' lines must get through: its own deliveries
  /// then come out as `config`, with all faults named. A body that is no delivery is `badInput`.
  ///
  /// What is waiting behind a delivery when its channel asks us to wait, or whose time to be sent has run out, is not sent: it
  /// comes out as `deferred`.
  package static func notifier(_ channel: ChannelKind, _ summary: String) -> Handler {
    // Named, but neither required nor checked at the start.
    let settings = Providers.settings(of: channel).map { Setting($0.name, leadsTo: $0.leadsTo) }
    let description = Description(
      name: channel.notifier, kind: .step, summary: summary, bodyLimit: 262_144, timeLimitMs: 15_000,
      environment: settings, input: .init(Delivery.schema), output: .init(Delivery.schema))
    return Handler(description) { given throws(Problem) in
      answer(channel.name, try sender(channel, given))
    }
  }
}

/// How to send, or which settings of the provider keep it from sending.
private func sender(_ channel: ChannelKind, _ given: Settings) throws(Problem) -> Result<Provider.Send, Problem> {
  let chosen = Providers.chosen(for: channel) { given[$0] != nil }
  // Without one its first provider says what is missing.
  guard let provider = chosen ?? Providers.all.first(where: { $0.channel == channel }) else {
    throw Problem(.internalError, "no provider sends to the channel \(channel.name)")
  }
  var environment: [String: String] = [:]
  for setting in provider.settings { environment[setting.name] = given[setting.name] }
  do throws(Problem) {
    return .success(try provider.open(try Settings(provider.settings, from: environment)))
  } catch {
    guard error.kind == .misconfigured else { throw error }
    return .failure(error)
  }
}

private func answer(_ channel: String, _ opened: Result<Provider.Send, Problem>) -> Handler.Answer {
  var refusedAt: Instant?
  return { request, log throws(Problem) in
    guard var delivery = Delivery(try request.json()) else {
      throw Problem(.badInput, "the body is no delivery")
    }
    guard delivery.channel == channel, !delivery.hasOutcome else { return Reply(delivery.document) }
    let start = Instant.now
    if let reason = delivery.reasonNotToSend(at: start, refusedAt: refusedAt) {
      delivery.outcome = DeliveryOutcome(.deferred, reason: reason)
      return Reply(delivery.document)
    }
    var outcome: DeliveryOutcome
    switch opened {
    case .success(let send):
      outcome = send(delivery, request, request.deadline ?? start.adding(seconds: 10))
    case .failure(let problem):
      outcome = DeliveryOutcome(.config, reason: problem.detail)
    }
    if outcome.class.isRefusal { refusedAt = .now }
    outcome.reason = outcome.reason.map { Cut.scalars($0, to: 200) }
    let milliseconds = Instant.now.milliseconds - start.milliseconds
    report(outcome, code: opened.fault, of: delivery, milliseconds: milliseconds, to: log)
    delivery.outcome = outcome
    return Reply(delivery.document)
  }
}

extension Delivery {
  /// Why it must go back as it is; nil where nothing speaks against sending it.
  fileprivate func reasonNotToSend(at now: Instant, refusedAt: Instant?) -> String? {
    if let sendBefore, sendBefore < now { return "it could not be sent before its lease ends; it was returned to the queue" }
    // A refusal that is yet to come was heard before the clock was set back.
    if let begunAt, let refusedAt, begunAt <= refusedAt, refusedAt <= now {
      return "its channel accepts no more messages now; it was returned to the queue"
    }
    return nil
  }
}

/// One line a send: no recipient, no name, nothing that a provider said but its code. What was delivered, but not as it
/// was meant to be, is a warning with our own note on it, without its numbers. `code` is what our own settings
/// say, where they are at fault.
private func report(_ outcome: DeliveryOutcome, code: String?, of delivery: Delivery, milliseconds: Int, to log: Log) {
  let message = "\(delivery.channel) delivery \(delivery.id.text) \(outcome.class.rawValue)"
  let status = outcome.statusCode.map { String($0) } ?? "none"
  switch outcome.class {
  case .delivered, .accepted:
    guard let note = outcome.reason else { return log.info(message, ["status": status, "ms": String(milliseconds)]) }
    log.warn(
      message,
      [
        "status": status, "code": outcome.providerCode ?? "none", "ms": String(milliseconds),
        "note": Excerpt.clean(note, limit: 200),
      ])
  default:
    log.warn(message, ["status": status, "code": code ?? outcome.providerCode ?? "none", "ms": String(milliseconds)])
  }
}

extension Result where Failure == Problem {
  fileprivate var fault: String? {
    if case .failure(let problem) = self { return problem.detail }
    return nil
  }
}
