import Forms
import Glibc
import Wire

/// An environment variable that a handler reads: its name, whether it is required, its destination, and the check of
/// its value.
package struct Setting: Sendable, Equatable {
  package let name: String
  package let isRequired: Bool
  /// The settings that together take the place of a required one.
  package let substitutes: [String]
  /// The destination that a process with this setting must be able to reach. Nil if it has none.
  package let leadsTo: Destination?
  /// Describes what is wrong with a value, as the end of a sentence that begins with the name. Nil for a valid value.
  /// It never includes the value, which may be a secret.
  package let validate: @Sendable (String) -> String?

  package init(
    _ name: String, required: Bool = false, unless substitutes: [String] = [],
    leadsTo destination: Destination? = nil,
    validate: @escaping @Sendable (String) -> String? = { _ in nil }
  ) {
    self.name = name
    self.isRequired = required
    self.substitutes = substitutes
    leadsTo = destination
    self.validate = validate
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.name == right.name && left.isRequired == right.isRequired && left.substitutes == right.substitutes
  }

  /// A whole number within a range.
  package static func number(_ name: String, _ range: ClosedRange<Int>) -> Setting {
    Setting(name) { value in
      Int(strict: value).map(range.contains) == true
        ? nil : "must be a whole number from \(range.lowerBound) to \(range.upperBound)"
    }
  }

  /// One of a fixed set of words.
  package static func choice(_ name: String, _ words: [String]) -> Setting {
    Setting(name) { words.contains($0) ? nil : "must be one of \(words.joined(separator: ", "))" }
  }

  package static let logLevel = choice("LOG_LEVEL", ["debug", "info", "warn", "error"])
  package static let logFormat = choice("LOG_FORMAT", ["text", "json"])
}

/// The settings that a process was started with. They are checked once, and all errors are reported together.
package struct Settings: Sendable {
  private let values: [String: String]

  /// Takes the `declared` settings from `environment`. An empty value counts as absent.
  package init(_ declared: [Setting], from environment: [String: String]) throws(Problem) {
    var values: [String: String] = [:]
    var errors = FormError()
    for setting in declared {
      if let value = environment[setting.name], !value.isEmpty {
        if let reason = setting.validate(value) {
          let isQuoted = value.count > 1 && value.first == value.last && "\"'".contains(value.first ?? " ")
          errors.add(
            .invalidSetting, at: setting.name, ["reason": reason + (isQuoted ? "; the value is in quotes" : "")])
        } else {
          values[setting.name] = value
        }
      } else if setting.isRequired {
        // If some of its substitutes are set, the others are missing.
        let missing = setting.substitutes.filter { environment[$0]?.isEmpty ?? true }
        let isReplaced = missing.count < setting.substitutes.count
        for name in isReplaced ? missing : [setting.name] { errors.add(.missingSetting, at: name) }
      }
    }
    guard errors.isEmpty else { throw Problem(settings: errors) }
    self.values = values
  }

  package subscript(name: String) -> String? { values[name] }

  /// Returns the value of a checked number setting, or `standard` if it is not set.
  package func number(_ name: String, default standard: Int) -> Int { values[name].flatMap { Int($0) } ?? standard }
}

/// Returns the environment of this process. Call it at start, before any thread exists.
package func processEnvironment() -> [String: String] {
  var result: [String: String] = [:]
  var entry = environ
  while let pointer = entry.pointee {
    let text = String(cString: pointer)
    if let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) {
      result[String(text[..<equals])] = String(text[text.utf8.index(after: equals)...])
    }
    entry += 1
  }
  return result
}
