import Contract
import Forms
import Leads
import Store
import StoreAccess
import Wire

/// The common part of the capture handlers: from a request to a stored lead, with the agency's rules.
package struct LeadIntake {
  package static let settings =
    Database.settings + WakeCall.settings + OfficeHours.settings + [QualifiedLeads.setting] + FormGuard.settings

  private let form: any LeadForm
  private let handler: String
  private let database: Database
  private let wake: WakeCall
  private let hours: OfficeHours?
  private let announced: [String]
  private let formGuard: FormGuard
  /// Nil if the route takes JSON only.
  private let plainForms: PlainForms?

  /// `handler` is the scope of idempotency keys.
  package init(
    of form: any LeadForm, posted plainForms: PlainForms? = nil, _ settings: Settings, handler: String,
    _ afterwards: Afterwards
  ) throws(Problem) {
    self.form = form
    self.handler = handler
    // Other requests wait behind this one in a stream process, so one locked conversation must not block them for long.
    database = Database.ofProcess(settings, lockMilliseconds: 1000)
    wake = WakeCall(settings, over: database, afterwards)
    hours = try OfficeHours(settings)
    announced = QualifiedLeads.announced(settings)
    formGuard = try FormGuard(settings)
    self.plainForms = plainForms
    readAhead(in: afterwards.readAhead)
  }

  /// Lets a stream read and check the next requests while the database stores these.
  private func readAhead(in stream: ReadAhead) {
    stream.check = { [self] request in Result { () throws(Problem) in try check(request) } }
    database.meanwhile = (
      descriptor: StandardInput.descriptor, work: { isReady in stream.proceed(inputIsReady: isReady) }
    )
  }

  /// The maximum number of waiting requests that are stored in one transaction.
  package static let batchSize = 64

  /// The JSON Schema of the request headers.
  package static let headers: JSON = [
    "properties": [
      "Idempotency-Key": Rule<String>.key.schema.setting("description", "overrides idempotencyKey in the body")
    ]
  ]
  /// The JSON Schema of the reply headers.
  package static let replyHeaders: JSON = [
    "properties": ["Idempotency-Replayed": ["const": "true", "description": "the original reply to this key"]]
  ]
  /// 422: the key was used before with different content.
  package static let problems = [422]

  /// A lead as it was sent, and the result of storing it.
  package typealias Stored = (lead: Lead, captured: Captured)

  /// Validates the request bodies, stores the leads with their events, writes the log lines that operators search for,
  /// and wakes the workers. Each request succeeds or fails independently. An `Idempotency-Key` header overrides the
  /// body's member.
  package func capture(_ requests: [Request], log: Log) -> [Result<Stored, Problem>] {
    let checked = requests.map { request in
      Result { () throws(Problem) in
        if let known = request.checked as? Result<CaptureRequest, Problem> { return try inTime(known.get()) }
        return try inTime(check(request))
      }
    }
    let leads = checked.compactMap { try? $0.get() }
    let (results, refusal) = database.watchingPooler(log) { database.capture(leads, route: handler) }
    let refused = refusal.map { ($0, Problem($0, in: .captureLeads, log: log)) }
    var outcomes = results.makeIterator()
    var wakes = false
    let stored = zip(requests, checked).map { request, checked in
      Result { () throws(Problem) -> Stored in
        var lead = try checked.get().lead
        let log = log.with("requestId", request.requestID)
        let captured = try report(outcomes.next() ?? .failure(.noAnswer), refused: refused, log)
        lead.warnings += captured.full.map { FieldError(.conversationFull, at: $0) }
        if !lead.warnings.isEmpty { log.info("Set aside \(lead.warnings.map(\.path).joined(separator: ", "))") }
        // Also without an event: a worker may announce the lead directly.
        if captured.outcome != .replayed, !captured.isSpam { wakes = true }
        return (lead, captured)
      }
    }
    if wakes { wake.send() }
    return stored
  }

  private func check(_ request: Request) throws(Problem) -> CaptureRequest {
    var content =
      if let plainForms { try plainForms.content(of: request, for: form.form) } else { try request.json() }
    let lead = try checking { () throws(FormError) in
      if let key = request.headers["idempotency-key"], content.members != nil {
        // The member that the header overrides is still validated.
        if content["idempotencyKey"] != nil { _ = try form.lead(checking: content, receivedAt: request.receivedAt) }
        content = content.setting("idempotencyKey", .string(key))
      }
      return try form.lead(checking: content, receivedAt: request.receivedAt)
    }
    return CaptureRequest(
      lead, verdict: formGuard.judge(content, of: request), content: content,
      client: request.sourceIP.isEmpty ? nil : request.sourceIP, requestID: request.requestID,
      responseDeadlines: lead.responseDeadlines(within: hours), announced: announced,
      deadline: request.deadline ?? .steady)
  }

  /// Refuses a lead whose client has stopped waiting. It may have been read ahead a while ago.
  private func inTime(_ lead: CaptureRequest) throws(Problem) -> CaptureRequest {
    guard lead.deadline > .steady else { throw Problem(.deadlineExceeded) }
    return lead
  }

  /// Logs the result for one lead, in the lines that operators search for. `refused` is the failure of all leads in one
  /// transaction, which has already been logged.
  private func report(
    _ outcome: Result<Captured, StoreFailure>, refused: (failure: StoreFailure, problem: Problem)?, _ log: Log
  ) throws(Problem) -> Captured {
    let captured: Captured
    do throws(StoreFailure) { captured = try outcome.get() } catch {
      let logged = error == refused?.failure ? refused?.problem : nil
      let problem = logged ?? Problem(error, in: .captureLead, log: log)
      log.write(.conversationInsertError, facts: ["status": String(problem.kind.status)])
      throw problem
    }
    switch captured.outcome {
    case .mismatch: throw Problem(.idempotencyKeyReused)
    case .replayed: log.info("Repeated the reply for conversation \(captured.id)")
    case .created where captured.isSpam:
      log.info("Kept conversation \(captured.id) aside as spam")
    case .created: log.write(.conversationCreated, captured.id)
    case .continued:
      log.info("Continued conversation \(captured.id)")
      if captured.wasReleased { log.info("Released conversation \(captured.id): a valid form token came with it") }
      if let rise = captured.rise { log.info("The score of conversation \(captured.id) rose from \(rise)") }
      if let status = captured.reopenedFrom {
        log.info("Reopened conversation \(captured.id): it was \(status), and the customer wrote again")
      }
    }
    if captured.outcome == .created, !captured.isSpam { log.emitted("lead.created", captured.eventID) }
    return captured
  }
}

extension Lead {
  /// The member `warnings` of the reply: the values that were set aside. Empty if there are none.
  var warningMembers: [JSON.Member] {
    warnings.isEmpty ? [] : [.init("warnings", .array(warnings.map(\.document)))]
  }

  /// The JSON Schema of `warnings`.
  static let warningsSchema: JSON = [
    "type": "array", "minItems": 1,
    "description": "values that could not be used; they are stored in metadata.setAside",
    "items": FieldError.schema,
  ]
}

extension Captured {
  /// The header that marks a repeated reply; empty for any other.
  package var replayHeader: [String: String] { outcome == .replayed ? ["idempotency-replayed": "true"] : [:] }
}

extension Log {
  /// Writes a line that operators watch for: that the event was stored, or that it was not because its tables are
  /// missing.
  func emitted(_ event: String, _ id: String?) {
    if id != nil {
      write(.eventEmitted, event)
    } else {
      write(.eventNotEmitted, event, facts: ["reason": "the event tables do not exist"])
    }
  }
}
