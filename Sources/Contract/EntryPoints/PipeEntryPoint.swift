import Glibc
import Wire

/// Reads one document from stdin, writes one line to stdout, and exits.
struct PipeEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  private let afterwards = Afterwards()

  /// Reads stdin to its end, answers, and returns the exit status. It reads everything because a parent that writes all
  /// its input first would otherwise block. An alarm ends a process that hangs for any reason.
  ///
  /// If a person started it at a terminal without input, it prints its usage, unless it needs no input.
  func serve() -> Int32 {
    if StandardInput.isTerminal, handler.description.needsInput {
      _ = StandardError.write(handler.description.usage)
      return ExitStatus.usage
    }
    alarm(UInt32(handler.description.processorSeconds))
    let input = StandardInput.readAll(limit: StandardInput.limit(forBody: handler.description.bodyLimit))
    let exchange = answer(input)
    if isStartedByHand(environment), let refusal = exchange.refusal { log.warn("Refused: \(refusal)") }
    let status = StandardOutput.write(exchange.output) ? exchange.exitStatus : ExitStatus.unwritable
    if afterwards.dueAt != nil {
      // A client that reads to end of file has the reply now.
      close(1)
      afterwards.finish(now: .steady, log: log)
    }
    return status
  }

  private func answer(_ input: StandardInput.Document) -> AnsweredRequest {
    switch input {
    case .tooLarge: return AnsweredRequest(refusing: Problem(.documentTooLarge))
    case .unreadable(let reason): return AnsweredRequest(refusing: .internalError(reason))
    case .bytes(let bytes):
      // A handler that needs no body also accepts an empty stdin.
      let bytes = bytes.isEmpty && handler.description.acceptsEmptyInput ? Array("{}".utf8) : bytes
      let answer = handler.opened(environment, afterwards: afterwards, log: log)
      let exchanges = handler.answer([bytes], by: answer, log: log)
      return exchanges.first ?? AnsweredRequest(refusing: .internalError("the handler made no reply"))
    }
  }
}

extension Description {
  /// True if an empty stdin is a valid request: the input schema requires no member.
  var acceptsEmptyInput: Bool { Self.requires(input.body).isEmpty }

  /// True if no request without members can be valid: the body or the query requires one, or every route has a
  /// parameter.
  var needsInput: Bool {
    let hasChoices = !(input.body["anyOf"]?.array ?? []).isEmpty
    let isAlwaysNamed = !routes.isEmpty && routes.allSatisfy { $0.path.contains("{") }
    return !acceptsEmptyInput || hasChoices || isAlwaysNamed || !Self.requires(input.query ?? [:]).isEmpty
  }

  private static func requires(_ schema: JSON) -> [JSON] { schema["required"]?.array ?? [] }
}
