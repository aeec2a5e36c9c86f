/// The values for the names in braces of a message template.
package typealias MessageArguments = [String: any CustomStringConvertible & Sendable]

/// The messages of a catalogue are templates: `{field} is required`.
package enum MessageTemplate {
  /// The message with its arguments in place of their names. A name without an argument stays as it is.
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
