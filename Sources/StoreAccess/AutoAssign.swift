import Contract
import Wire

/// Which leads are assigned to agents automatically: AUTO_ASSIGN and SLA_AUTOMATION.
package enum AutoAssign: String, Sendable {
  /// New leads soon after their capture, and overdue ones.
  case new
  /// Overdue leads: those without an agent, and those whose agents have not answered in time.
  case overdue
  /// None.
  case off

  package static let settings: [Setting] = [
    .choice("AUTO_ASSIGN", ["new", "overdue", "off"]), .choice("SLA_AUTOMATION", ["true", "false"]),
  ]

  /// The choice in AUTO_ASSIGN; defaults to `overdue`. SLA_AUTOMATION=false overrides it: nothing is assigned, and
  /// warnings and breaches are emitted all the same.
  package init(_ settings: Settings) {
    self = settings["SLA_AUTOMATION"] == "false" ? .off : settings["AUTO_ASSIGN"].flatMap(Self.init) ?? .overdue
  }

  /// What the settings say about leads that get no agent. Nil if they assign leads.
  package static func reasonForNone(_ settings: Settings) -> String? {
    guard AutoAssign(settings) == .off else { return nil }
    return settings["SLA_AUTOMATION"] == "false" ? "SLA_AUTOMATION is false" : "AUTO_ASSIGN is off"
  }
}
