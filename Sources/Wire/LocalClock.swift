/// The agency's local clock.
package struct LocalClock: Sendable {
  /// The name of the time zone: `Asia/Dubai`.
  package let zone: String
  /// Returns the offset of local time from UTC at a moment, in seconds.
  package let offset: @Sendable (Instant) -> Int

  package init(zone: String, offset: @escaping @Sendable (Instant) -> Int) {
    self.zone = zone
    self.offset = offset
  }

  /// Formats a moment: `Fri 20 Nov 2026 18:20`, or `18:20:05` with seconds.
  package func text(_ moment: Instant, withSeconds: Bool = false) -> String {
    "\(day(moment)) \(time(moment, withSeconds: withSeconds))"
  }

  /// Formats a moment with the zone, for a message: `Fri 20 Nov 2026, 18:20 (Asia/Dubai)`.
  package func message(_ moment: Instant) -> String { "\(day(moment)), \(time(moment)) (\(zone))" }

  /// Formats an interval: `Fri 20 Nov 2026 18:20 to 18:30`. If it ends on another day, that date is included.
  package func text(_ interval: Range<Instant>) -> String {
    let (from, to) = (interval.lowerBound, interval.upperBound)
    return "\(text(from)) to \(day(from) == day(to) ? time(to) : text(to))"
  }

  /// The local day of a moment, in days since 1970-01-01.
  package func days(_ moment: Instant) -> Int {
    local(moment).milliseconds.quotientAndFloorRemainder(by: 86_400_000).quotient
  }

  /// Returns the moment at which the clock shows a minute of a day. See `moment(_:_:offset:)`.
  package func moment(_ day: Int, _ minute: Int) -> Instant { Self.moment(day, minute, offset: offset) }

  /// Returns the moment at which a local clock shows a day (since 1970-01-01) and a minute: the first one if it occurs
  /// twice. A minute that is skipped when the clock is set forward maps to the moment of that change.
  package static func moment(_ day: Int, _ minute: Int, offset: (Instant) -> Int) -> Instant {
    let local = Instant(milliseconds: (day * 86_400 + minute * 60) * 1000)
    let (before, after) = (offset(local.adding(seconds: -86_400)), offset(local.adding(seconds: 86_400)))
    let early = local.adding(seconds: -before)
    let late = local.adding(seconds: -after)
    if offset(early) == before { return early }
    if offset(late) == after { return late }
    var range = (late.milliseconds / 1000)..<(early.milliseconds / 1000)
    while range.count > 1 {
      let middle = range.lowerBound + range.count / 2
      let isBefore = offset(Instant(milliseconds: middle * 1000)) == before
      range = isBefore ? middle..<range.upperBound : range.lowerBound..<middle
    }
    return Instant(milliseconds: range.upperBound * 1000)
  }

  private func local(_ moment: Instant) -> Instant { moment.adding(seconds: offset(moment)) }

  /// Formats the date: `Fri 20 Nov 2026`.
  private func day(_ moment: Instant) -> String {
    let days = days(moment)
    let (year, month, day) = Instant.civil(days)
    return "\(Self.weekdays[((days + 3) % 7 + 7) % 7]) \(day) \(Self.months[month - 1]) \(year)"
  }

  private func time(_ moment: Instant, withSeconds: Bool = false) -> String {
    String(local(moment).iso8601.dropFirst(11).prefix(withSeconds ? 8 : 5))
  }

  private static let weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
