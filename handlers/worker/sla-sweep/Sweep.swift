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

  init(_ hours: OfficeHours?) { self.hours = hours }

  /// The times before which a deadline is near, by the database's clock. Nil before the first batch, whose reply has
  /// the time.
  var warnBefore: [String: Instant]? { last.map { SLA.warnBefore($0.now, within: hours) } }

  /// True if something is left to do that no other sweep does.
  var goesOn: Bool { last.map { !$0.isComplete && !$0.isBusy } ?? true }

  /// True if there is something to deliver or to report.
  var hasEmitted: Bool { warned + breached + summaries > 0 }

  mutating func add(_ batch: SweptDeadlines) {
    warned += batch.warned
    breached += batch.breached
    summedUp += batch.summedUp
    summaries += batch.isSummary ? 1 : 0
    last = batch
  }

  /// The time until the next warning, breach or summary is due, in milliseconds; nil if there is none. A second if what
  /// is due could not be done, because another session has locked it or is doing it.
  private var nextDueInMs: Int? {
    guard let last else { return nil }
    if goesOn { return 0 }
    if last.isBusy { return 1000 }
    let warnings = last.unwarned.map { SLA.warning(quality: $0.key, deadline: $0.value, within: hours) }
    let next = (warnings + [last.warnedOf, last.summaryAt].compactMap(\.self)).min()
    return next.map { max($0.milliseconds - last.now.milliseconds, 1000) }
  }

  var facts: KeyValuePairs<String, String> {
    ["warned": String(warned), "breached": String(breached), "summedUp": String(summedUp)]
  }

  var document: JSON {
    [
      "warned": JSON(warned), "breached": JSON(breached), "summedUp": JSON(summedUp), "summaries": JSON(summaries),
      "isComplete": .bool(last?.isComplete == true), "nextDueInMs": JSON(nextDueInMs),
    ]
  }

  static let schema: JSON = [
    "type": "object",
    "required": ["warned", "breached", "summedUp", "summaries", "isComplete", "nextDueInMs"],
    "properties": [
      "warned": ["type": "integer"], "breached": ["type": "integer"], "summedUp": ["type": "integer"],
      "summaries": ["type": "integer"], "isComplete": ["type": "boolean"],
      "nextDueInMs": ["type": ["integer", "null"]],
    ],
  ]
}
