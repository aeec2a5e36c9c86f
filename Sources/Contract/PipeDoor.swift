import Glibc
import Wire

/// One document in, one line out, exit.
struct PipeDoor {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  /// Reads stdin to its end (a parent that writes everything before it reads must not be left hanging), answers, and
  /// returns the exit status. A process that hangs for a reason nobody thought of is ended by the alarm.
  /// One that was started ahead of its request (LEADPIPE_SPARE) does first what it can do without, and waits as long as it
  /// takes: who started it ends it.
  func serve() -> Int32 {
    let isSpare = environment["LEADPIPE_SPARE"] == "1"
    let opened = isSpare ? handler.opened(environment, afterwards: afterwards, log: log) : nil
    if isSpare { StandardInput.wait() }
    alarm(UInt32(handler.description.processorSeconds))
    let input = StandardInput.readAll(limit: StandardInput.limit(forBody: handler.description.bodyLimit))
    let exchange = answer(input, by: opened)
    let status = StandardOutput.write(exchange.output) ? exchange.exitStatus : ExitStatus.unwritable
    if afterwards.dueAt != nil {
      // Whoever reads to the end has the reply now.
      close(1)
      afterwards.finish(now: .now, log: log)
    }
    return status
  }

  private func answer(_ input: StandardInput.Document, by opened: Result<Handler.BatchAnswer, Problem>?)
    -> AnsweredRequest
  {
    switch input {
    case .tooLarge: return AnsweredRequest(refusing: Problem(.documentTooLarge))
    case .unreadable(let reason): return AnsweredRequest(refusing: .internalError(reason))
    case .bytes(let bytes):
      // A route that takes no body may be asked with nothing at all.
      let bytes = bytes.isEmpty && handler.description.takesNothing ? Array("{}".utf8) : bytes
      let answer = opened ?? handler.opened(environment, afterwards: afterwards, log: log)
      let exchanges = handler.answer([bytes], by: answer, log: log)
      return exchanges.first ?? AnsweredRequest(refusing: .internalError("the handler made no reply"))
    }
  }
}

extension Description {
  /// Whether an empty stdin is a request: the input schema requires no member.
  var takesNothing: Bool { (input.body["required"]?.array ?? []).isEmpty }
}
