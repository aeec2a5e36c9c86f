import Wire

/// The turns of agents: whoever gets an overdue lead has the response time of its quality, counted like a deadline.
extension SLA {
  /// Returns an instant for each quality. A turn that began at or before it has ended: the response time has passed.
  package static func served(_ now: Instant, within hours: OfficeHours? = nil) -> [String: Instant] {
    Dictionary(uniqueKeysWithValues: Lead.qualities.map { ($0, served($0, now, hours)) })
  }

  private static func served(_ quality: String, _ now: Instant, _ hours: OfficeHours?) -> Instant {
    let seconds = seconds(quality)
    guard let hours else { return now.adding(seconds: -seconds) }
    func hasEnded(_ start: Instant) -> Bool { hours.adding(seconds: seconds, to: start) <= now }
    var span = seconds
    while !hasEnded(now.adding(seconds: -span)) { span *= 2 }
    // The latest beginning, to the millisecond.
    var range = now.adding(seconds: -span).milliseconds..<now.milliseconds
    while range.count > 1 {
      let middle = range.lowerBound + range.count / 2
      range = hasEnded(Instant(milliseconds: middle)) ? middle..<range.upperBound : range.lowerBound..<middle
    }
    return Instant(milliseconds: range.lowerBound)
  }
}
