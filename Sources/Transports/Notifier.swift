import Contract
import Deliveries
import Wire

extension Description {
  /// The description of a step that sends the deliveries of one channel.
  package static func notifier(_ name: String, _ summary: String, _ settings: [Setting]) -> Description {
    // Named, but neither required nor checked at the start: see `notifier(_:needing:from:send:)`.
    let names = settings.map { Setting($0.name) }
    return Description(
      name: name, kind: .step, summary: summary, bodyLimit: 262_144, timeLimitMs: 15_000, environment: names,
      input: .init(DeliveryLine.schema), output: .init(DeliveryLine.schema))
  }
}

/// The filter that every notifier is: a delivery of `channel` without an outcome is given to `send` and passed on with
/// what became of it; every other line is passed on as it came. Where a setting of the channel is missing or wrong the
/// notifier still starts, because other channels' lines must get through: its own deliveries then come out as `config`,
/// with all faults named. A body that is no delivery is `badInput`.
///
/// What is waiting behind a delivery when its channel asks us to wait, or whose time to be sent has run out, is not sent: it
/// comes out as `deferred`.
package func notifier<Provider>(
  _ channel: String, needing declared: [Setting], from given: Settings,
  as provider: (Settings) throws(Problem) -> Provider,
  send: @escaping (Provider, DeliveryLine, Request, Instant) -> DeliveryOutcome
) -> Handler.Answer {
  let opened = Result { () throws(Problem) in
    var environment: [String: String] = [:]
    for setting in declared { environment[setting.name] = given[setting.name] }
    return try provider(try Settings(declared, from: environment))
  }
  var refusedAt: Instant?
  return { request, log throws(Problem) in
    guard var line = DeliveryLine(try request.json()) else {
      throw Problem(.badInput, "the body is no delivery")
    }
    guard line.channel == channel, !line.hasOutcome else { return Reply(line.document) }
    let start = Instant.now
    if let reason = line.reasonNotToSend(at: start, refusedAt: refusedAt) {
      line.outcome = DeliveryOutcome(.deferred, reason: reason)
      return Reply(line.document)
    }
    var outcome: DeliveryOutcome
    switch opened {
    case .success(let provider):
      let deadline = request.deadline ?? start.adding(seconds: 10)
      outcome = send(provider, line, request, deadline)
    case .failure(let problem):
      outcome = DeliveryOutcome(.config, reason: problem.detail)
    }
    if outcome.class.isRefusal { refusedAt = .now }
    outcome.reason = outcome.reason.map { Cut.scalars($0, to: 200) }
    report(outcome, code: opened.fault, of: line, milliseconds: Instant.now.milliseconds - start.milliseconds, to: log)
    line.outcome = outcome
    return Reply(line.document)
  }
}

extension DeliveryLine {
  /// Why it must go back as it is; nil where nothing speaks against sending it.
  fileprivate func reasonNotToSend(at now: Instant, refusedAt: Instant?) -> String? {
    if let sendBefore, sendBefore < now { return "its time to be sent had run out; it goes back" }
    // A refusal that is yet to come was heard before the clock was set back.
    if let begunAt, let refusedAt, begunAt <= refusedAt, refusedAt <= now {
      return "its channel wants no more now; it goes back"
    }
    return nil
  }
}

/// One line a send: no recipient, no name, nothing that a provider said but its code. What was delivered, but not as it
/// was meant to be, is a warning with our own note on it, without its numbers. `code` is what our own settings
/// say, where they are at fault.
private func report(_ outcome: DeliveryOutcome, code: String?, of line: DeliveryLine, milliseconds: Int, to log: Log) {
  let message = "\(line.channel) delivery \(line.id.text) \(outcome.class.rawValue)"
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
