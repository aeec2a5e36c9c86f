import Wire

/// A handler: its description and the function that answers requests. The same binary serves every entry point.
package struct Handler: Sendable {
  /// Answers one request. A thrown problem becomes the reply.
  package typealias Answer = (Request, Log) throws(Problem) -> Reply

  /// Answers a batch of requests, one result for each, in order.
  package typealias BatchAnswer = ([Request], Log) -> [Result<Reply, Problem>]

  package let description: Description
  /// The maximum number of waiting requests of a stream that are answered in one batch.
  let batchSize: Int
  /// Called once per process, after the settings are checked. Opens the resources that all requests share.
  let open: @Sendable (Settings, Afterwards) throws(Problem) -> BatchAnswer

  /// Makes the counter of requests for entry points without a gateway; nil if this handler has no database. Set by
  /// `serve`.
  var counter: (@Sendable (Settings) -> (any RequestCounter)?)?

  /// Creates a handler that answers requests one by one.
  package init(_ description: Description, open: @escaping @Sendable (Settings) throws(Problem) -> Answer) {
    self.init(description) { settings, _ throws(Problem) in try open(settings) }
  }

  /// Creates a handler that answers requests one by one and does work after its replies.
  package init(_ description: Description, open: @escaping @Sendable (Settings, Afterwards) throws(Problem) -> Answer) {
    self.init(description, batchSize: 1) { settings, afterwards throws(Problem) in
      let answer = try open(settings, afterwards)
      return { requests, log in
        requests.map { request in
          Result { () throws(Problem) in try answer(request, log.with("requestId", request.requestID)) }
        }
      }
    }
  }

  /// Creates a handler that answers up to `batchSize` waiting requests of a stream together.
  package init(
    _ description: Description, batchSize: Int,
    open: @escaping @Sendable (Settings, Afterwards) throws(Problem) -> BatchAnswer
  ) {
    var description = description
    description.environment += [.logLevel, .logFormat]
    self.description = description
    self.batchSize = batchSize
    self.open = open
  }
}

extension Handler {
  /// Checks the settings and opens the resources that requests share. A settings error is logged once and becomes the
  /// reply to every request.
  func opened(
    _ environment: [String: String], afterwards: Afterwards, log: Log
  ) -> Result<BatchAnswer, Problem> {
    do throws(Problem) {
      return .success(try open(try Settings(description.environment, from: environment), afterwards))
    } catch {
      log.error(error.detail)
      return .failure(error)
    }
  }

  /// A request that was read, and the problem if it cannot be answered.
  typealias ReadRequest = (request: Request, problem: Problem?)

  /// Reads a document for a later `answer`. A document with `requestContext` is an envelope; any other is a bare body.
  func read(_ document: [UInt8]) -> ReadRequest { read(document, nil) }

  /// Answers a batch of documents. `deadline` limits what the requests may take, on the steady clock.
  func answer(
    _ documents: [[UInt8]], by answer: Result<BatchAnswer, Problem>, log: Log, deadline: Instant? = nil
  ) -> [AnsweredRequest] {
    self.answer(documents.map { read($0, deadline) }, by: answer, log: log)
  }

  /// Answers a batch of requests, in their order.
  func answer(_ requests: [ReadRequest], by answer: Result<BatchAnswer, Problem>, log: Log) -> [AnsweredRequest] {
    var problems = requests.map(\.problem)
    let good = requests.filter { $0.problem == nil }.map(\.request)
    var replies: [Result<Reply, Problem>] = []
    switch answer {
    case .success(let answer): replies = good.isEmpty ? [] : answer(good, log)
    case .failure(let problem): problems = problems.map { _ in problem }
    }
    var next = replies.makeIterator()
    return zip(requests.map(\.request), problems).map { request, problem in
      if let problem { return AnsweredRequest(request: request, problem: problem) }
      switch next.next() {
      case .success(let reply): return AnsweredRequest(request: request, reply: reply)
      case .failure(let problem): return AnsweredRequest(request: request, problem: problem)
      case nil: return AnsweredRequest(request: request, problem: .internalError("the handler made no reply"))
      }
    }
  }

  /// Reads the request in a document. The problem is set if the request cannot be answered. A request without an id gets
  /// one.
  private func read(_ bytes: [UInt8], _ deadline: Instant?) -> ReadRequest {
    var (request, problem) = readDocument(bytes, deadline)
    if request.requestID.isEmpty { request.requestID = UUIDText.ordered().text }
    return (request, problem)
  }

  private func readDocument(_ bytes: [UInt8], _ deadline: Instant?) -> ReadRequest {
    let route = description.routes.first ?? Description.Route("POST", "/" + description.name)
    var request = Request(method: route.method, path: route.path, requestID: "", receivedAt: .now)
    request.isBare = true
    request.body = bytes
    do throws(Problem) {
      let json: JSON
      do { json = try JSON(reading: bytes, repairing: description.repairsText) } catch {
        throw Problem(.malformedJSON, ["reason": error.reason, "offset": error.offset])
      }
      if json["requestContext"] != nil {
        request.isBare = false
        request = try Request(envelope: json)
      } else {
        request.document = json
        // A delivery names the request that caused it, so that the log lines of a lead can be found by one id.
        if description.kind == .step, let id = json["requestId"]?.string.flatMap(Request.cleanID) {
          request.requestID = id
        }
      }
      if let deadline { request.deadline = request.deadline.map { min($0, deadline) } ?? deadline }
      try prepare(&request)
    } catch { return (request, error) }
    return (request, nil)
  }

  /// Applies the handler's own limits to a request that was read.
  func prepare(_ request: inout Request) throws(Problem) {
    request.repairsText = description.repairsText
    guard request.body.count <= description.bodyLimit else { throw .tooLarge(description.bodyLimit) }
    if description.takesForms, request.isForm {
      request.form = Result { [request] () throws(Problem) in try request.postedForm() }
    }
    let own = Instant(milliseconds: Instant.steady.milliseconds + description.timeLimitMs)
    request.deadline = request.deadline.map { min($0, own) } ?? own
    guard request.deadline.map({ $0 > .steady }) == true else { throw Problem(.deadlineExceeded) }
  }
}
