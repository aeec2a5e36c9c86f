import Leads
import Wire

/// Explains how the deadline of a first response was calculated, and whether it was met.
struct DeadlineExplanation {
  /// ok, warning, breached or met.
  let state: String
  let deadline: Instant?
  /// The intervals that counted towards it; empty if it was calculated by rules other than today's.
  let intervals: [Range<Instant>]

  private let lead: JSON
  private let hours: OfficeHours?
  private let clock: LocalClock
  /// The quality that the deadline was calculated for, and whether it was set when the conversation was created.
  private let promise: (quality: String, isFirst: Bool)?

  /// Milliseconds: the longest time between a request and its row, and the largest difference between two clocks.
  private static let tolerance = 15_000

  /// - Parameters:
  ///   - lead: the ConversationDTO.
  ///   - additions: when the conversation was continued: if the lead's quality rises then, the deadline moves closer.
  init(_ lead: JSON, additions: [Instant], hours: OfficeHours?, clock: LocalClock) {
    self.lead = lead
    self.hours = hours
    self.clock = clock
    state = lead["slaState"]?.string ?? "ok"
    deadline = lead["slaResponseDeadline"]?.instant
    var found: (promise: (String, Bool), intervals: [Range<Instant>])?
    if let deadline, let created = lead["createdAt"]?.instant {
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

  /// Returns the intervals of a deadline that was set at about this moment, if they end at the actual deadline;
  /// otherwise none.
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
      // The row is slightly newer than the request that created it.
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
    guard let deadline else { return "It has no deadline, so its response time is not measured." }
    return origin(deadline) + " " + outcome(deadline)
  }

  private func origin(_ deadline: Instant) -> String {
    let due = "\(clock.text(deadline)) (\(clock.zone))"
    guard let promise, let first = intervals.first else {
      return "The deadline for the first response is \(due). The office hours or the lead's quality have changed since "
        + "it was set, so the times that counted are not known."
    }
    let quality = lead["leadQuality"]?.string ?? promise.quality
    let changed = promise.quality == quality ? "" : " (its quality at the time)"
    let since = promise.isFirst ? "" : " after the customer continued the conversation"
    let span = Self.span(SLA.seconds(promise.quality))
    guard hours != nil else {
      return "A \(promise.quality) lead\(changed) must be answered within \(span)\(since): "
        + "counted from \(clock.text(first.lowerBound)), the deadline is \(due)."
    }
    let listed = intervals.prefix(5).map { interval in
      "\(clock.text(interval)) (\(Self.span(interval.upperBound.seconds(since: interval.lowerBound), isExact: true)))"
    }
    let rest = intervals.count > listed.count ? ", and \(intervals.count - listed.count) more intervals" : ""
    return "A \(promise.quality) lead\(changed) must be answered within \(span) of office hours\(since): "
      + "\(listed.joined(separator: ", "))\(rest) counted, so the deadline is \(due)."
  }

  private func outcome(_ deadline: Instant) -> String {
    if let answered = lead["firstResponseAt"]?.instant {
      let distance = Self.span(Int(answered.seconds(since: deadline).magnitude))
      return "The first response was sent at \(clock.text(answered)), "
        + (answered > deadline ? "\(distance) late." : "\(distance) before the deadline.")
    }
    let isClosed = ["completed", "lost", "converted"].contains(lead["status"]?.string ?? "")
    switch (state, isClosed) {
    case ("breached", true): return "It was closed without a response after the deadline."
    case (_, true): return "It was closed without a response, so no response is due."
    case ("breached", false): return "No agent has responded, and the deadline has passed."
    case ("warning", false): return "No agent has responded, and at most a third of the time is left."
    default: return "No agent has responded yet."
    }
  }

  /// Returns `15 minutes`, `1 hour 5 minutes` or `24 hours`, and `12 minutes 14 seconds` if `isExact`.
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
