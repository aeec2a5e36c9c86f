import Glibc
import Wire

/// Reads and writes NDJSON: one reply line per request line, in order. An invalid line gets an error line, and the
/// stream continues. The exit status is that of the first failure.
struct StreamEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  func serve() -> Int32 {
    defer { afterwards.finish(now: .now, log: log) }
    var lines = LineReader(limit: StandardInput.limit(forBody: handler.description.bodyLimit))
    var firstFailure: Int32 = 0
    let answer = handler.opened(environment, afterwards: afterwards, log: log)
    while case let batch = lines.next(atMost: handler.batchSize, beforeWaiting: doPendingWork), !batch.isEmpty {
      let exchanges = exchange(batch, by: answer)
      if firstFailure == 0, let failed = exchanges.first(where: { $0.exitStatus != 0 }) {
        firstFailure = failed.exitStatus
      }
      guard StandardOutput.write(exchanges.flatMap(\.line)) else { return ExitStatus.unwritable }
      afterwards.proceed(now: .now, log: log)
    }
    return firstFailure
  }

  /// Does pending work when it is due, unless the next line arrives first.
  private func doPendingWork() {
    while let due = afterwards.dueAt, !StandardInput.isReady(until: due) { afterwards.proceed(now: .now, log: log) }
  }

  /// Answers a batch of lines. An invalid line does not affect the others.
  private func exchange(
    _ lines: [StandardInput.Document], by answer: Result<Handler.BatchAnswer, Problem>
  ) -> [AnsweredRequest] {
    let documents = lines.compactMap { if case .bytes(let bytes) = $0 { bytes } else { nil } }
    var answered = handler.answer(documents, by: answer, log: log).makeIterator()
    return lines.compactMap { line in
      switch line {
      case .bytes: answered.next()
      case .tooLarge: AnsweredRequest(refusing: Problem(.documentTooLarge))
      case .unreadable(let reason): AnsweredRequest(refusing: .internalError(reason))
      }
    }
  }
}
