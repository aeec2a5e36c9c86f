import Contract
import Forms
import Leads
import Store
import StoreAccess
import Wire

/// What the capture handlers have in common: the way from a checked request to a stored lead, and the agency's rules.
package struct LeadIntake {
  package static let settings = Database.settings + WakeCall.settings + [.officeHours, .timeZone]

  private let form: any LeadForm
  private let handler: String
  private let database: Database
  private let wake: WakeCall
  private let hours: OfficeHours?

  /// `handler` is the scope of idempotency keys.
  package init(
    of form: any LeadForm, _ settings: Settings, handler: String, _ afterwards: Afterwards
  ) throws(Problem) {
    self.form = form
    self.handler = handler
    // A stream process has others waiting behind: one conversation that somebody holds must not hold up all.
    database = Database(settings, lockMilliseconds: 1000)
    wake = WakeCall(settings, over: database, afterwards)
    hours = try OfficeHours(settings)
  }

  /// How many requests that wait together are stored together.
  package static let batchSize = 64

  /// The headers that it looks at, and those of its replies, as JSON Schema.
  package static let headers: JSON = [
    "properties": [
      "Idempotency-Key": Rule<String>.key.schema.setting("description", "overrides idempotencyKey in the body")
    ]
  ]
  package static let replyHeaders: JSON = [
    "properties": ["Idempotency-Replayed": ["const": "true", "description": "this key's first answer, once more"]]
  ]
  /// A key that was used with another content.
  package static let problems = [422]

  /// A lead as it was sent, and what became of it.
  package typealias Stored = (lead: Lead, captured: Captured)

  /// Checks the bodies of requests, stores the leads with their events, writes the log lines that operators search
  /// for, and wakes the workers. Each request succeeds or fails by itself. An `Idempotency-Key` header overrides the body's
  /// member.
  package func capture(_ requests: [Request], log: Log) -> [Result<Stored, Problem>] {
    let checked = requests.map { request in Result { () throws(Problem) in try check(request) } }
    let leads = checked.compactMap { try? $0.get() }
    let (results, refusal) = database.watchingPooler(log) { database.capture(leads, route: handler) }
    let refused = refusal.map { ($0, Problem($0, in: .captureLeads, log: log)) }
    var outcomes = results.makeIterator()
    var wakes = false
    let stored = zip(requests, checked).map { request, checked in
      Result { () throws(Problem) -> Stored in
        let lead = try checked.get().lead
        let log = log.with("requestId", request.requestID)
        let captured = try report(outcomes.next() ?? .failure(.noAnswer), refused: refused, log)
        if captured.eventID != nil { wakes = true }
        return (lead, captured)
      }
    }
    if wakes { wake.send() }
    return stored
  }

  private func check(_ request: Request) throws(Problem) -> CaptureRequest {
    var content = try request.json()
    let lead = try checking { () throws(FormError) in
      if let key = request.headers["idempotency-key"], content.members != nil {
        // The member that the header overrides is still checked.
        if content["idempotencyKey"] != nil { _ = try form.lead(checking: content, receivedAt: request.receivedAt) }
        content = content.setting("idempotencyKey", .string(key))
      }
      return try form.lead(checking: content, receivedAt: request.receivedAt)
    }
    let deadline = request.deadline ?? .now
    guard deadline > .now else { throw Problem(.deadlineExceeded) }
    return CaptureRequest(
      lead, content: content, responseDeadline: lead.responseDeadline(within: hours), deadline: deadline)
  }

  /// Writes what became of a lead to the log, in the lines that operators search for. `refused` is what all leads together
  /// were refused with, which is in the log already.
  private func report(
    _ outcome: Result<Captured, StoreFailure>, refused: (failure: StoreFailure, problem: Problem)?, _ log: Log
  ) throws(Problem) -> Captured {
    let captured: Captured
    do throws(StoreFailure) { captured = try outcome.get() } catch {
      let problem = error == refused?.failure ? refused?.problem : nil
      let told = problem ?? Problem(error, in: .captureLead, log: log)
      log.write(.conversationInsertError, facts: ["status": String(told.kind.status)])
      throw told
    }
    switch captured.outcome {
    case .mismatch: throw Problem(.idempotencyKeyReused)
    case .replayed: log.info("Answered again conversation \(captured.id)")
    case .created: log.write(.conversationCreated, captured.id)
    case .continued: log.info("Continued conversation \(captured.id)")
    }
    if captured.outcome == .created { log.emitted("lead.created", captured.eventID) }
    return captured
  }
}

extension Captured {
  /// Says that this answer was given before.
  package var replayHeader: [String: String] { outcome == .replayed ? ["idempotency-replayed": "true"] : [:] }
}

extension Log {
  /// The line that operators watch for: the event is stored, or its tables are gone.
  func emitted(_ event: String, _ id: String?) {
    if id != nil {
      write(.eventEmitted, event)
    } else {
      write(.eventNotEmitted, event, facts: ["reason": "the event tables are not there"])
    }
  }
}
