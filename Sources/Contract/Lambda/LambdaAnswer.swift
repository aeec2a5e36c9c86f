import Wire

/// What is posted for an event: a result, or the report of a failure.
enum LambdaAnswer {
  case result([UInt8])
  case failure(RuntimeAPI.Report)

  /// How much earlier than Lambda's own deadline a request's ends, so that its reply can still be posted.
  private static let marginMs = 500

  /// - Parameter deadline: when Lambda ends the process, on the wall clock.
  init(
    _ event: LambdaEvent, deadline: Instant?, handler: Handler, by answer: @escaping Handler.BatchAnswer, log: Log
  ) {
    let end = deadline.map { Instant(milliseconds: $0.milliseconds - Self.marginMs).onSteadyClock }
    switch event {
    case .http(let event):
      let endpoint = HTTPEventAnswer(handler: handler, answer: answer, deadline: end, log: log)
      self = .result(endpoint.reply(to: event).envelope.bytes)
    case .document(let document):
      let exchange = handler.answer([document], by: .success(answer), log: log, deadline: end).first
      self.init(toStep: exchange ?? AnsweredRequest(refusing: .internalError("the handler made no reply")))
    case .invalid(let reason): self = .failure(.invalidEvent(reason))
    }
  }

  /// A step's reply is the result itself. Its problems are failed invocations: Lambda counts them, and repeats what was
  /// invoked asynchronously.
  private init(toStep exchange: AnsweredRequest) {
    if let problem = exchange.problem {
      self = .failure(RuntimeAPI.Report(problem))
    } else if exchange.reply.headers["content-type"] == "application/x-ndjson" {
      // Lambda takes one document.
      let lines = exchange.reply.body.split(separator: 0x0A)
      self = .result(Array("[".utf8) + Array(lines.joined(separator: [0x2C])) + Array("]".utf8))
    } else {
      self = .result(exchange.reply.body.isEmpty ? Array("null".utf8) : exchange.reply.body)
    }
  }
}
