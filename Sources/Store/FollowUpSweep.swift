import Deliveries
import Wire

/// A batch of a follow-up sweep. All times are those of the database's clock.
package struct SweptFollowUps: Sendable {
  package let now: Instant
  /// How many reminders have a message of their own.
  package let reminded: Int
  /// How many have none.
  package let summedUp: Int
  /// How many messages that sum up others were emitted.
  package let summaries: Int
  /// True if another sweep is at work, so this one did nothing.
  package let isBusy: Bool
  /// True if nothing that was due is left.
  package let isComplete: Bool
  /// When the next follow-up or summary is due.
  package let nextAt: Instant?
  /// The latest day whose digests have been made: `2026-11-28`.
  package let digestedOn: String?
}

extension Database {
  /// Reminds agents of one batch of follow-ups that are due, each once. `recipients` are the configured ones.
  package func sweepFollowUps(recipients: [Recipient], deadline: Instant) throws(StoreFailure) -> SweptFollowUps {
    let reply = try call(.sweepFollowUps, ["channels": .array(recipients.map(\.document))], deadline: deadline)
    guard let now = reply["now"]?.instant else { throw .noAnswer }
    return SweptFollowUps(
      now: now, reminded: reply["reminded"]?.integer ?? 0, summedUp: reply["summedUp"]?.integer ?? 0,
      summaries: reply["summaries"]?.integer ?? 0, isBusy: reply["isBusy"]?.bool == true,
      isComplete: reply["isComplete"]?.bool == true, nextAt: reply["nextAt"]?.instant,
      digestedOn: reply["digestedOn"]?.string)
  }

  /// The result of making the digests of a day.
  package struct Digested: Sendable {
    package let count: Int
    /// True if another sweep is at work, so this one did nothing.
    package let isBusy: Bool
    /// True if email is not configured, so that nobody gets one.
    package let isMuted: Bool
  }

  /// Makes the digests of a day, each once: one for each agent, and one for the office.
  /// - Parameters:
  ///   - day: the day in the agency's time zone, as `2026-11-28`.
  ///   - end: the end of that day.
  package func digestFollowUps(
    day: String, end: Instant, recipients: [Recipient], deadline: Instant
  ) throws(StoreFailure) -> Digested {
    let reply = try call(
      .digestFollowUps,
      ["day": .string(day), "until": .string(end.iso8601), "channels": .array(recipients.map(\.document))],
      deadline: deadline)
    return Digested(
      count: reply["digests"]?.integer ?? 0, isBusy: reply["isBusy"]?.bool == true,
      isMuted: reply["isMuted"]?.bool == true)
  }
}
