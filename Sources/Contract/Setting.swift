import Forms
import Glibc
import Wire

/// An environment variable that a handler reads: its name, whether it must be there, where it leads, and what is wrong with a
/// value.
package struct Setting: Sendable, Equatable {
  package let name: String
  package let isRequired: Bool
  /// The place that a process with this setting must be able to reach; nil where it leads nowhere.
  package let leadsTo: Destination?
  /// What is wrong with a value, as the end of a sentence that begins with the name; nil for a good one. It never
  /// repeats the value: it may be a secret.
  package let fault: @Sendable (String) -> String?

  package init(
    _ name: String, required: Bool = false, leadsTo destination: Destination? = nil,
    fault: @escaping @Sendable (String) -> String? = { _ in nil }
  ) {
    self.name = name
    self.isRequired = required
    leadsTo = destination
    self.fault = fault
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.name == right.name && left.isRequired == right.isRequired
  }

  /// A whole number within limits.
  package static func number(_ name: String, _ range: ClosedRange<Int>) -> Setting {
    Setting(name) { value in
      Int(strict: value).map(range.contains) == true
        ? nil : "must be a whole number from \(range.lowerBound) to \(range.upperBound)"
    }
  }

  /// One of a few words.
  package static func choice(_ name: String, _ words: [String]) -> Setting {
    Setting(name) { words.contains($0) ? nil : "must be one of \(words.joined(separator: ", "))" }
  }

  package static let logLevel = choice("LOG_LEVEL", ["debug", "info", "warn", "error"])
  package static let logFormat = choice("LOG_FORMAT", ["text", "json"])
}

/// The settings a process was started with, checked once, all faults reported together.
package struct Settings: Sendable {
  private let values: [String: String]

  /// Takes from `environment` what `declared` names. An empty value counts as absent.
  package init(_ declared: [Setting], from environment: [String: String]) throws(Problem) {
    var values: [String: String] = [:]
    var errors = FormError()
    for setting in declared {
      if let value = environment[setting.name], !value.isEmpty {
        if let fault = setting.fault(value) {
          errors.add(.invalidSetting, at: setting.name, ["reason": fault])
        } else {
          values[setting.name] = value
        }
      } else if setting.isRequired {
        errors.add(.missingSetting, at: setting.name)
      }
    }
    guard errors.isEmpty else { throw Problem(settings: errors) }
    self.values = values
  }

  package subscript(name: String) -> String? { values[name] }

  /// The number a checked setting holds, or `standard`.
  package func number(_ name: String, default standard: Int) -> Int { values[name].flatMap { Int($0) } ?? standard }
}

/// The environment of this process. `environ` is read once, at start, before any thread exists.
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
