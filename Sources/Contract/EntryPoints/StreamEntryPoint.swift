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

  /// A line of a batch: a request that was read, or why it was not.
  private struct Item {
    let number: Int
    var content: Result<Handler.ReadRequest, Problem>
  }

  /// Stdin, and the items of the next batch that were read ahead.
  private final class Input {
    var lines: LineReader
    var next: [Item] = []

    init(_ lines: LineReader) { self.lines = lines }
  }

  /// How many lines are read ahead at a time, before the handler's own work is looked at again.
  private static let linesAtOnce = 4

  private func serve(counting summary: inout StreamSummary) -> Int32 {
    let input = Input(LineReader(limit: StandardInput.limit(forBody: handler.description.bodyLimit)))
    var firstFailure: Int32 = 0
    let answer = handler.opened(environment, afterwards: afterwards, log: log)
    let readAhead = readingAhead(from: input)
    while true {
      if input.next.isEmpty {
        input.next = input.lines.next(atMost: handler.batchSize, beforeWaiting: doPendingWork).map(read)
      } else if input.next.count < handler.batchSize {
        // What has come while the last replies were made: the more leads together, the less each takes.
        let isReady = StandardInput.isReady(until: .steady)
        input.next += input.lines.available(atMost: handler.batchSize - input.next.count, mayRead: isReady).map(read)
      }
      let batch = input.next
      if batch.isEmpty { return firstFailure }
      input.next = []
      // Only now: at any other time `input.lines` may be in use.
      afterwards.readAhead.read = readAhead
      let exchanges = exchange(batch, by: answer)
      afterwards.readAhead.read = nil
      if firstFailure == 0, let failed = exchanges.first(where: { $0.exitStatus != 0 }) {
        firstFailure = failed.exitStatus
      }
      var output: [UInt8] = []
      for (item, exchange) in zip(batch, exchanges) {
        summary.add(status: exchange.reply.status, line: item.number)
        if !exchange.request.isBare { summary.hasEnvelopes = true }
        output += exchange.line(item.number)
      }
      guard StandardOutput.write(output) else { return ExitStatus.unwritable }
      afterwards.proceed(now: .steady, log: log)
    }
  }

  /// Reads a line, and the request in it.
  private func read(_ line: LineReader.Line) -> Item {
    let content: Result<Handler.ReadRequest, Problem> =
      switch line.document {
      case .bytes(let bytes): .success(handler.read(bytes))
      case .tooLarge: .failure(Problem(.documentTooLarge))
      case .unreadable(let reason): .failure(.internalError(reason))
      }
    return Item(number: line.number, content: content)
  }

  /// What lets the handler read and check lines of the next batch while it waits; nil if the handler cannot.
  private func readingAhead(from input: Input) -> ((Bool) -> WorkNeed)? {
    guard let check = afterwards.readAhead.check else { return nil }
    return { isReady in
      let room = handler.batchSize - input.next.count
      let taken = input.lines.available(atMost: min(room, Self.linesAtOnce), mayRead: isReady)
      for line in taken {
        var item = read(line)
        if case .success(var found) = item.content, found.problem == nil {
          found.request.checked = check(found.request)
          item.content = .success(found)
        }
        input.next.append(item)
      }
      if input.next.count >= handler.batchSize || input.lines.isExhausted { return .nothing }
      return taken.count == Self.linesAtOnce ? .time : .input
    }
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

  /// Answers a batch of lines. An invalid line does not affect the others. A batch that contains only bare bodies uses
  /// the log for them.
  private func exchange(_ batch: [Item], by answer: Result<Handler.BatchAnswer, Problem>) -> [AnsweredRequest] {
    let requests = batch.compactMap { try? $0.content.get() }
    let log = requests.allSatisfy(\.request.isBare) ? bareLog : log
    var answered = handler.answer(requests, by: answer, log: log).makeIterator()
    return batch.compactMap { item in
      switch item.content {
      case .success: answered.next()
      case .failure(let problem): AnsweredRequest(refusing: problem)
      }
    }
  }
}
