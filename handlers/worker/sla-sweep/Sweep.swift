import Contract
import Leads
import Store
import Wire

/// The totals of the batches of a sweep, and when something is due next.
struct Sweep {
  private let hours: OfficeHours?
  private var warned = 0
  private var breached = 0
  private var summedUp = 0
  private var summaries = 0
  private var last: SweptDeadlines?
  private var assigned = 0
  private var moved = 0
  private var notices = 0
  private var lastAssigned: AssignedLeads?
  /// True if the assignment has failed: it is tried again after five seconds.
  var hasFailed = false

  init(_ hours: OfficeHours?) { self.hours = hours }

  /// The times before which a deadline is near, by the database's clock. Nil before the first batch, whose reply has
  /// the time.
  var warnBefore: [String: Instant]? { last.map { SLA.warnBefore($0.now, within: hours) } }

  /// True if something is left to do that no other sweep does.
  var goesOn: Bool { last.map { !$0.isComplete && !$0.isBusy } ?? true }

  /// True if there is something to deliver or to report.
  var hasEmitted: Bool { warned + breached + summaries + assigned + moved + notices > 0 }

  /// The times before which the turns of agents have ended. Nil if no lead is left to assign that no other sweep assigns.
  var served: [String: Instant]? {
    guard let now = lastAssigned?.now ?? last?.now, lastAssigned == nil || goesOnAssigning else { return nil }
    return SLA.served(now, within: hours)
  }

  private var goesOnAssigning: Bool { lastAssigned.map { !$0.isComplete && !$0.isBusy } ?? false }

  mutating func add(_ batch: SweptDeadlines) {
    warned += batch.warned
    breached += batch.breached
    summedUp += batch.summedUp
    summaries += batch.isSummary ? 1 : 0
    last = batch
  }

  mutating func add(_ batch: AssignedLeads) {
    assigned += batch.assigned
    moved += batch.moved
    notices += batch.notices
    lastAssigned = batch
  }

  /// The time until the next warning, breach, summary or assignment is due, in milliseconds; nil if there is none. A
  /// second if what is due could not be done, because another session has locked it or is doing it.
  private var nextDueInMs: Int? {
    guard let last else { return nil }
    if goesOn { return 0 }
    if hasFailed { return 5000 }
    if goesOnAssigning { return 0 }
    if last.isBusy || lastAssigned?.isBusy == true { return 1000 }
    let warnings = last.unwarned.map { SLA.warning(quality: $0.key, deadline: $0.value, within: hours) }
    let turns = lastAssigned?.turns.map { SLA.deadline(quality: $0.key, receivedAt: $0.value, within: hours) } ?? []
    let next = (warnings + turns + [last.warnedOf, last.summaryAt, lastAssigned?.summaryAt].compactMap(\.self)).min()
    let now = max(last.now, lastAssigned?.now ?? last.now)
    return next.map { max($0.milliseconds - now.milliseconds, 1000) }
  }

  var facts: KeyValuePairs<String, String> {
    [
      "warned": String(warned), "breached": String(breached), "summedUp": String(summedUp),
      "assigned": String(assigned), "moved": String(moved),
    ]
  }

  var document: JSON {
    [
      "warned": JSON(warned), "breached": JSON(breached), "summedUp": JSON(summedUp), "summaries": JSON(summaries),
      "assigned": JSON(assigned), "moved": JSON(moved), "notices": JSON(notices),
      "isComplete": .bool(last?.isComplete == true), "nextDueInMs": JSON(nextDueInMs),
    ]
  }

  static let schema: JSON = [
    "type": "object",
    "required": [
      "warned", "breached", "summedUp", "summaries", "assigned", "moved", "notices", "isComplete", "nextDueInMs",
    ],
    "properties": [
      "warned": ["type": "integer"], "breached": ["type": "integer"], "summedUp": ["type": "integer"],
      "summaries": ["type": "integer"], "assigned": ["type": "integer"],
      "moved": ["type": "integer"], "notices": ["type": "integer"], "isComplete": ["type": "boolean"],
      "nextDueInMs": ["type": ["integer", "null"]],
    ],
  ]
}
