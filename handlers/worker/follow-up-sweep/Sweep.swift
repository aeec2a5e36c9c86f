import Leads
import Store
import Wire

/// The totals of the batches of a sweep, and when something is due next.
struct Sweep {
  private var reminded = 0
  private var summedUp = 0
  private var summaries = 0
  private var digests = 0
  private var isDigestBusy = false
  private var last: SweptFollowUps?
  /// True if the digests have failed: they are tried again after five seconds.
  var hasFailed = false

  /// True if something is left to do that no other sweep does.
  var goesOn: Bool { last.map { !$0.isComplete && !$0.isBusy } ?? true }

  /// True if there is something to deliver or to report.
  var hasEmitted: Bool { reminded + summedUp + summaries + digests > 0 }

  mutating func add(_ batch: SweptFollowUps) {
    reminded += batch.reminded
    summedUp += batch.summedUp
    summaries += batch.summaries
    last = batch
  }

  mutating func add(_ digested: Database.Digested) {
    digests += digested.count
    isDigestBusy = digested.isBusy
  }

  /// Returns the day whose digests are to be made now. Nil if there is none, or if another sweep is at work.
  func digestDay(_ schedule: DigestSchedule?) -> DigestSchedule.Day? {
    guard let last, !last.isBusy, let day = schedule?.day(at: last.now), last.digestedOn ?? "" < day.text else {
      return nil
    }
    return day
  }

  /// The time until something is due, in milliseconds; nil if nothing is. A second if what is due could not be done,
  /// because another session has locked it or is doing it.
  private func nextDueInMs(_ schedule: DigestSchedule?) -> Int? {
    guard let last else { return nil }
    if goesOn { return 0 }
    if hasFailed { return 5000 }
    if last.isBusy || isDigestBusy { return 1000 }
    let next = [last.nextAt, schedule?.next(after: last.now)].compactMap(\.self).min()
    return next.map { max($0.milliseconds - last.now.milliseconds, 1000) }
  }

  var facts: KeyValuePairs<String, String> {
    [
      "reminded": String(reminded), "summedUp": String(summedUp), "summaries": String(summaries),
      "digests": String(digests),
    ]
  }

  func document(_ schedule: DigestSchedule?) -> JSON {
    [
      "reminded": JSON(reminded), "summedUp": JSON(summedUp), "summaries": JSON(summaries), "digests": JSON(digests),
      "isComplete": .bool(last?.isComplete == true), "nextDueInMs": JSON(nextDueInMs(schedule)),
    ]
  }

  static let schema: JSON = [
    "type": "object",
    "required": ["reminded", "summedUp", "summaries", "digests", "isComplete", "nextDueInMs"],
    "properties": [
      "reminded": ["type": "integer"], "summedUp": ["type": "integer"], "summaries": ["type": "integer"],
      "digests": ["type": "integer"], "isComplete": ["type": "boolean"], "nextDueInMs": ["type": ["integer", "null"]],
    ],
  ]
}
