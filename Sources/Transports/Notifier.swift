import Contract
import Deliveries
import Wire

extension Handler {
  /// The step that sends the deliveries of a channel through the provider that the settings select. It is a filter: it
  /// sends deliveries of the channel that have no outcome and passes them on with one; every other line is passed on
  /// unchanged. The step also starts if a setting is missing or wrong, because lines of other channels must pass: its
  /// own deliveries then get the outcome `config`, with all errors named. A body that is not a delivery is `badInput`.
  ///
  /// A delivery is not sent, and gets the outcome `deferred`, if the channel refused an earlier message while it was
  /// waiting, or if its time for sending has expired.
  package static func notifier(_ channel: ChannelKind, _ summary: String) -> Handler {
    // Declared, but not required or checked at the start.
    let settings = Providers.settings(of: channel).map { Setting($0.name, leadsTo: $0.leadsTo) }
    let description = Description(
      name: channel.notifier, kind: .step, summary: summary, bodyLimit: 262_144, timeLimitMs: 15_000,
      environment: settings, input: .init(Delivery.schema), output: .init(Delivery.schema))
    return Handler(description) { given throws(Problem) in
      answer(channel.name, try sender(channel, given))
    }
  }
}

/// Returns the function that sends, or the problem with the provider's settings.
private func sender(_ channel: ChannelKind, _ given: Settings) throws(Problem) -> Result<Provider.Send, Problem> {
  let chosen = Providers.chosen(for: channel) { given[$0] != nil }
  // If no provider is selected, the channel's first one reports which setting is missing.
  guard let provider = chosen ?? Providers.all.first(where: { $0.channel == channel }) else {
    throw Problem.internalError("no provider sends to the channel \(channel.name)")
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
      throw Problem(.invalidDelivery)
    }
    guard delivery.channel == channel, !delivery.hasOutcome else { return Reply(delivery.document) }
    let start = Instant.steady
    if let reason = delivery.reasonNotToSend(at: .now, refusedAt: refusedAt) {
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
    let milliseconds = Instant.steady.milliseconds - start.milliseconds
    report(outcome, code: opened.settingsError, of: delivery, milliseconds: milliseconds, to: log)
    delivery.outcome = outcome
    return Reply(delivery.document)
  }
}

extension Delivery {
  /// Returns why the delivery must return to the queue unsent. Nil if it can be sent.
  fileprivate func reasonNotToSend(at now: Instant, refusedAt: Instant?) -> String? {
    // Its lease may have ended, and the wall clock can no longer show it.
    if let begunAt, begunAt > now {
      return "the clock was set back after it had begun; it was returned to the queue"
    }
    if let sendBefore, sendBefore < now {
      return "it could not be sent before its lease ends; it was returned to the queue"
    }
    if let begunAt, let refusedAt, begunAt <= refusedAt, refusedAt <= now {
      return "its channel accepts no more messages now; it was returned to the queue"
    }
    return nil
  }
}

/// Logs one line for each send: no recipient, no name, and nothing of the provider's reply except its code. A message
/// that was not delivered in its intended form is a warning with Leadpipe's own note, without its long numbers. `code`
/// describes an error in the settings.
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
  fileprivate var settingsError: String? {
    if case .failure(let problem) = self { return problem.detail }
    return nil
  }
}
