import Leads
import Wire

/// How the deadline of a first answer came to be, and what became of it.
struct DeadlineExplanation {
  /// ok, warning, breached or met.
  let state: String
  let deadline: Instant?
  /// The times that counted towards it; empty where it was made by other rules than today's.
  let intervals: [Range<Instant>]

  private let lead: JSON
  private let hours: OfficeHours?
  private let clock: LocalClock
  /// Which quality it was promised to, and whether from the beginning.
  private let promise: (quality: String, isFirst: Bool)?

  /// How long a request can be on its way until its row says that it is there, and how far two clocks may be apart.
  private static let tolerance = 15_000

  /// - Parameters:
  ///   - lead: the ConversationDTO.
  ///   - additions: when the conversation was added to: a lead that rises then is answered sooner.
  init(_ lead: JSON, additions: [Instant], hours: OfficeHours?, clock: LocalClock) {
    self.lead = lead
    self.hours = hours
    self.clock = clock
    state = lead["slaState"]?.string ?? "ok"
    deadline = lead["slaResponseDeadline"]?.string.flatMap(Instant.init(iso8601:))
    var found: (promise: (String, Bool), intervals: [Range<Instant>])?
    if let deadline, let created = lead["createdAt"]?.string.flatMap(Instant.init(iso8601:)) {
      let current = lead["leadQuality"]?.string ?? "cold"
      for quality in [current] + Lead.qualities.filter({ $0 != current }) {
        for (index, moment) in ([created] + additions).enumerated() where found == nil {
          let intervals = Self.intervals(quality, around: moment, until: deadline, hours)
          if !intervals.isEmpty { found = ((quality, index == 0), intervals) }
        }
      }
    }
    promise = found?.promise
    intervals = found?.intervals ?? []
  }

  /// The times of a promise that was made at about this moment, if they end at the deadline; else none.
  private static func intervals(
    _ quality: String, around moment: Instant, until deadline: Instant, _ hours: OfficeHours?
  ) -> [Range<Instant>] {
    var start = moment
    for _ in 0..<2 {
      let intervals = SLA.intervals(quality: quality, receivedAt: start, within: hours)
      guard let end = intervals.last?.upperBound else { return [] }
      let late = end.milliseconds - deadline.milliseconds
      if late == 0 { return intervals }
      guard late.magnitude <= tolerance else { return [] }
      // The row is a little younger than the request that made it.
      start = Instant(milliseconds: start.milliseconds - late)
    }
    return []
  }

  var document: JSON {
    [
      "state": .string(state), "deadline": JSON(deadline?.iso8601),
      "intervals": .array(
        intervals.map {
          [
            "from": .string($0.lowerBound.iso8601), "to": .string($0.upperBound.iso8601),
            "seconds": JSON($0.upperBound.seconds(since: $0.lowerBound)), "local": .string(clock.text($0)),
          ]
        }),
      "sentence": .string(sentence),
    ]
  }

  var sentence: String {
    guard let deadline else { return "No deadline was written for it, so nothing is measured." }
    return origin(deadline) + " " + outcome(deadline)
  }

  private func origin(_ deadline: Instant) -> String {
    let due = "\(clock.text(deadline)) (\(clock.zone))"
    guard let promise, let first = intervals.first else {
      return "A first answer was promised by \(due), by office hours or a rating that are no longer the same: "
        + "which times counted is not known."
    }
    let quality = lead["leadQuality"]?.string ?? promise.quality
    let changed = promise.quality == quality ? "" : ", as it was rated then,"
    let since = promise.isFirst ? "" : " of when the customer went on"
    let span = Self.span(SLA.seconds(promise.quality))
    guard hours != nil else {
      return "A \(promise.quality) lead\(changed) is answered within \(span)\(since): "
        + "from \(clock.text(first.lowerBound)) on, so by \(due)."
    }
    let told = intervals.prefix(5).map { interval in
      "\(clock.text(interval)) (\(Self.span(interval.upperBound.seconds(since: interval.lowerBound), isExact: true)))"
    }
    let rest = intervals.count > told.count ? ", and \(intervals.count - told.count) more times" : ""
    return "A \(promise.quality) lead\(changed) is answered within \(span) of office hours\(since): "
      + "\(told.joined(separator: ", "))\(rest) counted, so by \(due)."
  }

  private func outcome(_ deadline: Instant) -> String {
    if let answered = lead["firstResponseAt"]?.string.flatMap(Instant.init(iso8601:)) {
      let distance = Self.span(Int(answered.seconds(since: deadline).magnitude))
      return "The first answer came at \(clock.text(answered)), "
        + (answered > deadline ? "\(distance) late." : "\(distance) before that.")
    }
    let isClosed = ["completed", "lost", "converted"].contains(lead["status"]?.string ?? "")
    switch (state, isClosed) {
    case ("breached", true): return "It was closed without an answer after that."
    case (_, true): return "It was closed without an answer, so nothing is due any more."
    case ("breached", false): return "Nobody has answered, and that time is past."
    case ("warning", false): return "Nobody has answered, and a third of the time or less is left."
    default: return "Nobody has answered yet."
    }
  }

  /// `15 minutes`, `1 hour 5 minutes`, `24 hours`; `12 minutes 14 seconds` where it is to be exact.
  static func span(_ seconds: Int, isExact: Bool = false) -> String {
    func count(_ number: Int, _ unit: String) -> String? {
      number == 0 ? nil : "\(number) \(unit)\(number == 1 ? "" : "s")"
    }
    guard seconds >= 60 else { return count(seconds, "second") ?? "0 seconds" }
    let (days, rest) = seconds > 48 * 3600 ? (seconds / 86_400, seconds % 86_400) : (0, seconds)
    let parts = [
      count(days, "day"), count(rest / 3600, "hour"), count(rest / 60 % 60, "minute"),
      isExact ? count(rest % 60, "second") : nil,
    ]
    return parts.compactMap { $0 }.joined(separator: " ")
  }
}
