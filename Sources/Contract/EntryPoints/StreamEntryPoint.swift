import Glibc
import Wire

/// Reads and writes NDJSON: one reply line per request line, in order. An invalid line gets an error line, and the
/// stream continues. The exit status is that of the first failure.
///
/// A stream of bare bodies that a person started reports what happened in one line at its end. An endpoint then logs no
/// other information, unless LOG_LEVEL is set.
struct StreamEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  /// Serves until stdin ends, then ends pending work and reports a summary.
  func serve() -> Int32 {
    var summary = StreamSummary(stores: handler.description.output.statuses.contains(201))
    let status = serve(counting: &summary)
    afterwards.finish(now: .steady, log: log)
    if isStartedByHand(environment), !summary.hasEnvelopes {
      let isStep = handler.description.kind == .step
      // Steps run in pipelines, so each summary names its step.
      let log = isStep ? log.with("handler", handler.description.name) : log
      log.write(summary.isClean ? .info : .warn, summary.text, [:])
    }
    return status
  }

  private func serve(counting summary: inout StreamSummary) -> Int32 {
    var lines = LineReader(limit: StandardInput.limit(forBody: handler.description.bodyLimit))
    var firstFailure: Int32 = 0
    let answer = handler.opened(environment, afterwards: afterwards, log: log)
    while case let batch = lines.next(atMost: handler.batchSize, beforeWaiting: doPendingWork), !batch.isEmpty {
      let exchanges = exchange(batch.map(\.document), by: answer)
      if firstFailure == 0, let failed = exchanges.first(where: { $0.exitStatus != 0 }) {
        firstFailure = failed.exitStatus
      }
      var output: [UInt8] = []
      for (line, exchange) in zip(batch, exchanges) {
        summary.add(status: exchange.reply.status, line: line.number)
        if !exchange.request.isBare { summary.hasEnvelopes = true }
        output += exchange.line(line.number)
      }
      guard StandardOutput.write(output) else { return ExitStatus.unwritable }
      afterwards.proceed(now: .steady, log: log)
    }
    return firstFailure
  }

  /// The log of bare requests.
  private var bareLog: Log {
    let isSet = environment["LOG_LEVEL"].map { !$0.isEmpty } ?? false
    let isQuiet = isStartedByHand(environment) && handler.description.kind == .endpoint && !isSet
    return isQuiet ? log.raised(to: .warn) : log
  }

  /// Does pending work when it is due, unless the next line arrives first.
  private func doPendingWork() {
    while let due = afterwards.dueAt, !StandardInput.isReady(until: due) { afterwards.proceed(now: .steady, log: log) }
  }

  /// Answers a batch of lines. An invalid line does not affect the others.
  private func exchange(
    _ lines: [StandardInput.Document], by answer: Result<Handler.BatchAnswer, Problem>
  ) -> [AnsweredRequest] {
    let documents = lines.compactMap { if case .bytes(let bytes) = $0 { bytes } else { nil } }
    var answered = handler.answer(documents, by: answer, log: log, bareLog: bareLog).makeIterator()
    return lines.compactMap { line in
      switch line {
      case .bytes: answered.next()
      case .tooLarge: AnsweredRequest(refusing: Problem(.documentTooLarge))
      case .unreadable(let reason): AnsweredRequest(refusing: .internalError(reason))
      }
    }
  }
}
