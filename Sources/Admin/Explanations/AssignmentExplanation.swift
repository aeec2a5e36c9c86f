import Leads
import Wire

/// Explains who a conversation was assigned to automatically, who was considered, and why nobody got it. The facts come
/// from `assignment_document`.
package struct AssignmentExplanation {
  private let facts: JSON
  private let clock: LocalClock
  private let off: String?

  /// - Parameter off: why the settings assign no leads. Nil if they do.
  package init(_ facts: JSON, clock: LocalClock, off: String?) {
    self.facts = facts
    self.clock = clock
    self.off = off
  }

  /// The explanation in reading order: each decision, oldest first, and how it stands. Empty if there is nothing to say:
  /// no decision, and no need of one.
  package var sentences: [String] {
    (facts["decisions"]?.array ?? []).reversed().map(sentence) + [standing].compactMap(\.self)
  }

  private func sentence(_ decision: JSON) -> String {
    let at = decision["at"]?.instant.map { clock.text($0, withSeconds: true) } ?? ""
    let reason = decision["reason"]?.string ?? ""
    let before = decision["agentNameBefore"]?.string
    let considered = Self.considered(decision["candidates"]?.array ?? [], chosen: decision["agentId"]?.string)
    guard let name = decision["agentName"]?.string else {
      return
        "At \(at) it \(before.map { "stayed with \($0)" } ?? "got no agent"): \(Self.obstacle(reason)).\(considered)"
    }
    let move = before.map { "passed on from \($0) to \(name)" } ?? "assigned to \(name)"
    return "At \(at) it was \(move), who \(advantage(reason, decision)).\(considered)"
  }

  /// How it stands now, if it is open and was not answered. Nil if that is said by other parts.
  private var standing: String? {
    let name = facts["agentName"]?.string ?? "an agent"
    let reasonForNone = off.map { " Nothing is assigned automatically: \($0)." } ?? ""
    switch facts["state"]?.string {
    case "waiting":
      let shortage = facts["shortage"]?.string.map { ": \(Self.obstacle($0))" } ?? ""
      return "It is overdue and waits for an agent\(off == nil ? shortage : "").\(reasonForNone)"
        + Self.considered(facts["candidates"]?.array ?? [], chosen: nil)
    case "overdue":
      let since = facts["since"]?.instant.map { " since \(clock.text($0))" } ?? ""
      let count = facts["passedOn"]?.integer ?? 0
      let moves = count == 0 ? "" : ", and was passed on \(count == 1 ? "once" : "\(count) times") since its deadline"
      return "It is overdue, \(name) has it\(since)\(moves).\(reasonForNone)"
    default: return nil
    }
  }

  private func advantage(_ reason: String, _ decision: JSON) -> String {
    let chosen = decision["candidates"]?.array?.first
    switch reason {
    case "only_one": return "was the only agent who could take it"
    case "not_had": return "had not had it yet"
    case "language": return "speaks its language (\(decision["language"]?.string ?? "unknown"))"
    case "area": return "knows its area"
    case "fewest_open": return "had the fewest open leads (\(chosen?["open"]?.integer ?? 0))"
    default: return "had waited longest for a lead"
    }
  }

  private static func obstacle(_ reason: String) -> String {
    switch reason {
    case "no_agents": "there are no agents"
    case "none_available": "no agent is available"
    case "all_at_capacity": "all available agents have as many open leads as they can take"
    case "moved_enough": "it has been passed on five times for this deadline"
    default: "no other agent can take it"
    }
  }

  /// The agents who were not chosen, at most ten, and why.
  private static func considered(_ candidates: [JSON], chosen: String?) -> String {
    let others = candidates.filter { chosen == nil || $0["agentId"]?.string != chosen }
    guard !others.isEmpty else { return "" }
    let texts = others.prefix(10).map { "\($0["agentName"]?.string ?? "") (\(why($0)))" }
    let rest = others.count > 10 ? ", and \(others.count - 10) more" : ""
    return " \(chosen == nil ? "Considered" : "Also considered"): \(texts.joined(separator: ", "))\(rest)."
  }

  private static func why(_ candidate: JSON) -> String {
    let load = "\(candidate["open"]?.integer ?? 0) of \(candidate["capacity"]?.integer ?? 0) leads"
    switch candidate["why"]?.string {
    case nil: return load
    case "has_it": return "has it"
    case "had_it": return "had it already"
    case "at_capacity": return "full, \(load)"
    case "being_changed": return "was being changed"
    case let status?: return status
    }
  }

  /// The JSON Schema of the facts with their sentences.
  package static let schema: JSON = [
    "type": "object",
    "required": [
      "id", "state", "agentId", "agentName", "since", "passedOn", "shortage", "candidates", "decisions", "sentences",
    ],
    "properties": [
      "id": Schema.uuid, "state": ["enum": ["answered", "closed", "assigned", "overdue", "not_due", "waiting"]],
      "agentId": Schema.perhapsUUID, "agentName": Schema.perhapsText, "since": Schema.perhapsTime,
      "passedOn": ["type": "integer", "minimum": 0],
      "shortage": ["enum": ["no_agents", "none_available", "all_at_capacity", nil]],
      "candidates": ["type": "array", "items": candidate],
      "decisions": ["type": "array", "items": decision], "sentences": ["type": "array", "items": ["type": "string"]],
    ],
  ]

  private static let decision: JSON = [
    "type": "object", "required": ["id", "at", "cause", "reason", "agentId", "agentIdBefore", "agents", "candidates"],
    "properties": [
      "id": Schema.uuid, "at": Schema.time, "cause": ["enum": ["new", "overdue", "unanswered"]],
      "reason": ["type": "string"], "agentId": Schema.perhapsUUID, "agentName": Schema.perhapsText,
      "agentIdBefore": Schema.perhapsUUID, "agentNameBefore": Schema.perhapsText, "language": Schema.perhapsText,
      "agents": ["type": "integer", "minimum": 0], "candidates": ["type": "array", "items": candidate],
    ],
  ]

  private static let candidate: JSON = [
    "type": "object",
    "required": [
      "agentId", "agentName", "status", "open", "capacity", "lastAssignedAt", "speaksLanguage", "knowsArea", "hadIt",
      "why",
    ],
    "properties": [
      "agentId": Schema.uuid, "agentName": ["type": "string"], "status": ["type": "string"],
      "open": ["type": "integer", "minimum": 0], "capacity": ["type": "integer"],
      "lastAssignedAt": Schema.perhapsTime, "speaksLanguage": ["type": ["boolean", "null"]],
      "knowsArea": ["type": ["boolean", "null"]], "hadIt": ["type": "boolean"], "why": Schema.perhapsText,
    ],
  ]
}
