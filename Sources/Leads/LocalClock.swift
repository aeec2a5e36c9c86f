import Wire

/// The agency's local clock.
package struct LocalClock: Sendable {
  /// The name of the time zone: `Asia/Dubai`.
  package let zone: String
  private let offset: @Sendable (Instant) -> Int

  /// - Parameter offset: returns the offset of local time from UTC at a moment, in seconds.
  package init(zone: String, offset: @escaping @Sendable (Instant) -> Int) {
    self.zone = zone
    self.offset = offset
  }

  /// Formats a moment: `Fri 20 Nov 2026 18:20`, or `18:20:05` with seconds.
  package func text(_ moment: Instant, withSeconds: Bool = false) -> String {
    "\(day(moment)) \(time(moment, withSeconds: withSeconds))"
  }

  /// Formats an interval: `Fri 20 Nov 2026 18:20 to 18:30`. If it ends on another day, that date is included.
  package func text(_ interval: Range<Instant>) -> String {
    let (from, to) = (interval.lowerBound, interval.upperBound)
    return "\(text(from)) to \(day(from) == day(to) ? time(to) : text(to))"
  }

  private func local(_ moment: Instant) -> Instant { moment.adding(seconds: offset(moment)) }

  private func day(_ moment: Instant) -> String {
    let date = local(moment)
    let days = date.milliseconds / 86_400_000
    let (year, month, day) = Instant.civil(days)
    return "\(Self.weekdays[(days + 3) % 7]) \(day) \(Self.months[month - 1]) \(year)"
  }

  private func time(_ moment: Instant, withSeconds: Bool = false) -> String {
    String(local(moment).iso8601.dropFirst(11).prefix(withSeconds ? 8 : 5))
  }

  private static let weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
