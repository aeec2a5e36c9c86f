import Wire

/// The promise to customers: how soon a first answer is due.
package enum SLA {
  /// Hot leads in 15 minutes, warm ones in an hour, cold ones in a day, from receipt; round the clock, or counted in
  /// office hours where there are any.
  package static func deadline(quality: String, receivedAt: Instant, within hours: OfficeHours? = nil) -> Instant {
    instant(seconds(quality), after: receivedAt, hours)
  }

  /// The times that count towards it: one round the clock, the hours in which the office is open where there are any.
  package static func intervals(
    quality: String, receivedAt: Instant, within hours: OfficeHours? = nil
  ) -> [Range<Instant>] {
    let seconds = seconds(quality)
    return hours?.intervals(seconds: seconds, from: receivedAt) ?? [receivedAt..<receivedAt.adding(seconds: seconds)]
  }

  /// For each quality the instant such that a deadline at or before it is near: a third of the time or less is left.
  package static func warnBefore(_ now: Instant, within hours: OfficeHours? = nil) -> [String: Instant] {
    Dictionary(
      uniqueKeysWithValues: ["hot", "warm", "cold"].map { ($0, instant(seconds($0) / 3, after: now, hours)) })
  }

  /// How soon an answer to a lead of this quality is due.
  package static func seconds(_ quality: String) -> Int {
    quality == "hot" ? 15 * 60 : quality == "warm" ? 60 * 60 : 24 * 60 * 60
  }

  private static func instant(_ seconds: Int, after start: Instant, _ hours: OfficeHours?) -> Instant {
    hours?.adding(seconds: seconds, to: start) ?? start.adding(seconds: seconds)
  }
}
