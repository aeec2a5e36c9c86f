import Wire

/// What is posted for an event: a result, or the report of a failure.
enum LambdaAnswer {
  case result([UInt8])
  case failure(RuntimeAPI.Report)

  /// How much earlier than Lambda's own deadline a request's ends, so that its reply can still be posted.
  private static let marginMs = 500

  /// - Parameter deadline: when Lambda ends the process, on the wall clock.
  init(_ event: LambdaEvent, deadline: Instant?, by door: LambdaDoor, log: Log) {
    let end = deadline.map { Instant(milliseconds: $0.milliseconds - Self.marginMs).onSteadyClock }
    switch (event, door) {
    case (.http(let event), .endpoint(let server)):
      let served = server.answer(event.head, from: event.peer, deadline: end, log: log) { _ throws(Problem) in
        try event.body()
      }
      self = .result(served.envelope.bytes)
    case (.document(let document), .step(let handler, let answer)):
      let exchange = handler.answer([document], by: .success(answer), log: log, deadline: end).first
      self.init(toStep: exchange ?? AnsweredRequest(refusing: .internalError("the handler made no reply")))
    case (.invalid(let reason), _): self = .failure(.invalidEvent(reason))
    case (.http, .step), (.document, .endpoint):
      self = .failure(.invalidEvent("the event is not one that this function takes"))
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
