import Wire

/// The service level: how soon a first response is due.
package enum SLA {
  /// Returns when the first response is due: within 15 minutes of receipt for hot leads, an hour for warm ones, a day
  /// for cold ones. With office hours, only time within them counts.
  package static func deadline(quality: String, receivedAt: Instant, within hours: OfficeHours? = nil) -> Instant {
    instant(seconds(quality), after: receivedAt, hours)
  }

  /// Returns the intervals that count towards the deadline: the open intervals with office hours, otherwise one
  /// interval around the clock.
  package static func intervals(
    quality: String, receivedAt: Instant, within hours: OfficeHours? = nil
  ) -> [Range<Instant>] {
    let seconds = seconds(quality)
    return hours?.intervals(seconds: seconds, from: receivedAt) ?? [receivedAt..<receivedAt.adding(seconds: seconds)]
  }

  /// Returns an instant for each quality. A deadline at or before it is near: at most a third of the response time is
  /// left.
  package static func warnBefore(_ now: Instant, within hours: OfficeHours? = nil) -> [String: Instant] {
    Dictionary(
      uniqueKeysWithValues: ["hot", "warm", "cold"].map { ($0, instant(seconds($0) / 3, after: now, hours)) })
  }

  /// Returns when a deadline becomes near: the first moment of which `warnBefore` reaches the deadline.
  package static func warning(quality: String, deadline: Instant, within hours: OfficeHours? = nil) -> Instant {
    let third = seconds(quality) / 3
    guard let hours else { return deadline.adding(seconds: -third) }
    func isNear(_ moment: Instant) -> Bool { hours.adding(seconds: third, to: moment) >= deadline }
    var span = third
    while isNear(deadline.adding(seconds: -span)) { span *= 2 }
    var range = deadline.adding(seconds: -span).milliseconds..<deadline.milliseconds
    while range.count > 1 {
      let middle = range.lowerBound + range.count / 2
      range = isNear(Instant(milliseconds: middle)) ? range.lowerBound..<middle : middle..<range.upperBound
    }
    return Instant(milliseconds: range.upperBound)
  }

  /// Returns the response time for a lead of this quality, in seconds.
  package static func seconds(_ quality: String) -> Int {
    quality == "hot" ? 15 * 60 : quality == "warm" ? 60 * 60 : 24 * 60 * 60
  }

  private static func instant(_ seconds: Int, after start: Instant, _ hours: OfficeHours?) -> Instant {
    hours?.adding(seconds: seconds, to: start) ?? start.adding(seconds: seconds)
  }
}
