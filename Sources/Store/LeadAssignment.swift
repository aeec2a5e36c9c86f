import Wire

/// A batch of automatic assignments, and what is due next. All times are those of the database's clock.
package struct AssignedLeads: Sendable {
  package let now: Instant
  /// How many leads got their first agent, and how many went on to another one.
  package let assigned: Int
  package let moved: Int
  /// How many events were emitted that notify.
  package let notices: Int
  /// True if leads are overdue, there are no agents, and no earlier batch has said so.
  package let lacksAgents: Bool
  /// True if another session is at work or has locked what this batch needs.
  package let isBusy: Bool
  /// True if nothing that can be assigned is left.
  package let isComplete: Bool
  /// For each quality, when the earliest turn began of an agent of an overdue lead.
  package let turns: [String: Instant]
  /// When a summary is due.
  package let summaryAt: Instant?
}

extension Database {
  /// Assigns one batch of leads to agents.
  /// - Parameters:
  ///   - includesNew: true if leads are assigned soon after their capture too.
  ///   - served: for each quality the time before which a turn has ended that began then.
  package func assignLeads(
    includesNew: Bool, served: [String: Instant], deadline: Instant
  ) throws(StoreFailure) -> AssignedLeads {
    let times = served.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value.iso8601)) }
    let reply = try call(
      .assignLeads, ["mode": includesNew ? "new" : "overdue", "served": .object(times)], deadline: deadline)
    guard let now = reply["now"]?.instant else { throw .noAnswer }
    var turns: [String: Instant] = [:]
    for member in reply["turns"]?.members ?? [] { turns[member.key] = member.value.instant }
    return AssignedLeads(
      now: now, assigned: reply["assigned"]?.integer ?? 0, moved: reply["moved"]?.integer ?? 0,
      notices: reply["notices"]?.integer ?? 0, lacksAgents: reply["lacksAgents"]?.bool == true,
      isBusy: reply["isBusy"]?.bool == true, isComplete: reply["isComplete"]?.bool == true, turns: turns,
      summaryAt: reply["summaryAt"]?.instant)
  }
}
