import Contract
import Wire

/// NOTIFY_QUALIFIED: which leads are announced when their customer continues the conversation and the quality rises.
package enum QualifiedLeads {
  /// `hot`: those that become hot, the default. `warm`: those that become warm too.
  package static let setting = Setting.choice("NOTIFY_QUALIFIED", ["hot", "warm"])

  /// The qualities into which a rise is announced.
  package static func announced(_ settings: Settings) -> [String] {
    settings[setting.name] == "warm" ? ["hot", "warm"] : ["hot"]
  }
}
