/// A row of the settings reference: settings that belong together, their meaning and their defaults.
struct SettingEntry {
  let names: [String]
  let meaning: String
  let standard: String
  /// The programs that read it, other than the handlers that describe it.
  let programs: String

  init(_ names: String..., meaning: String, default standard: String = "none", programs: String = "") {
    self.names = names
    self.meaning = meaning
    self.standard = standard
    self.programs = programs
  }
}

/// A section of the settings reference.
struct SettingSection {
  let title: String
  let entries: [SettingEntry]
}
