/// The values that replace the names in braces in a message template.
package typealias MessageArguments = [String: any CustomStringConvertible & Sendable]

/// The messages of a catalogue are templates: `{field} is required`.
package enum MessageTemplate {
  /// Returns the message with its arguments in place of their names. A name without an argument is left as it is.
  package static func fill(_ template: String, _ arguments: MessageArguments) -> String {
    var message = ""
    var rest = template[...]
    while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
      let name = String(rest[rest.index(after: open)..<close])
      message += rest[..<open] + (arguments[name]?.description ?? "{\(name)}")
      rest = rest[rest.index(after: close)...]
    }
    return message + rest
  }
}
