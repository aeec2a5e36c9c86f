import Wire

/// A batch of a sweep: the warnings and breaches that it emitted, and what is due next. All times are those of the
/// database's clock.
package struct SweptDeadlines: Sendable {
  package let now: Instant
  package let warned: Int
  package let breached: Int
  /// How many of them have no notification of their own.
  package let summedUp: Int
  /// True if it emitted the event that sums up others.
  package let isSummary: Bool
  /// True if another sweep is at work, so this one did nothing.
  package let isBusy: Bool
  /// True if nothing that was due is left.
  package let isComplete: Bool
  /// For each quality the earliest deadline that has not been warned of.
  package let unwarned: [String: Instant]
  /// The earliest deadline that has been warned of and has not been breached.
  package let warnedOf: Instant?
  /// When a summary is due.
  package let summaryAt: Instant?
}

extension Database {
  /// Emits one batch of SLA warnings and breaches that are due, each once.
  /// - Parameter warnBefore: for each quality the time before which a deadline is near. If nil, only breaches are
  ///   emitted.
  package func sweepSLA(warnBefore: [String: Instant]?, deadline: Instant) throws(StoreFailure) -> SweptDeadlines {
    let times = warnBefore.map { times in
      JSON.object(times.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value.iso8601)) })
    }
    let reply = try call(.sweepSLA, JSON.object([.init("warnBefore", times ?? .null)]).withoutNulls, deadline: deadline)
    guard let now = reply["now"]?.instant else { throw .noAnswer }
    var unwarned: [String: Instant] = [:]
    for member in reply["unwarned"]?.members ?? [] { unwarned[member.key] = member.value.instant }
    return SweptDeadlines(
      now: now, warned: reply["warned"]?.integer ?? 0, breached: reply["breached"]?.integer ?? 0,
      summedUp: reply["summedUp"]?.integer ?? 0, isSummary: reply["isSummary"]?.bool == true,
      isBusy: reply["isBusy"]?.bool == true, isComplete: reply["isComplete"]?.bool == true, unwarned: unwarned,
      warnedOf: reply["warnedOf"]?.instant, summaryAt: reply["summaryAt"]?.instant)
  }
}
