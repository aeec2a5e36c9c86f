import Wire

/// The promise to customers: how soon a first answer is due.
package enum SLA {
  /// Hot leads in 15 minutes, warm ones in an hour, cold ones in a day, from receipt; round the clock, or counted in
  /// office hours where there are any.
  package static func deadline(quality: String, receivedAt: Instant, within hours: OfficeHours? = nil) -> Instant {
    let seconds = quality == "hot" ? 15 * 60 : quality == "warm" ? 60 * 60 : 24 * 60 * 60
    return hours?.adding(seconds: seconds, to: receivedAt) ?? receivedAt.adding(seconds: seconds)
  }
}
