import Wire

/// How the value of a field is validated: its JSON Schema and the function that reads it. Any module can add rules for
/// its own types.
package struct Rule<Value: FormValue>: Sendable {
  /// Reads a value from JSON. Nil with an error added if the JSON is invalid; nil without one if it counts as absent.
  package typealias Reader = @Sendable (JSON, inout FormError) -> Value?

  /// The JSON Schema 2020-12 of a required value. Values that match it are accepted, others are rejected, with two
  /// exceptions that a schema cannot express: lengths are measured after cleaning, and a string may be no phone number.
  package let schema: JSON
  /// The JSON Schema of a value that a lenient field sets aside, if it does not match `schema`.
  package private(set) var asideSchema: JSON = ["description": "any other value is set aside, with a warning"]
  private let ownOptionalSchema: JSON?
  private let ownParameterSchema: JSON?
  /// True if a string of which trimming leaves nothing counts as absent: forms send one for a field that was not filled
  /// in. Null always counts as absent.
  private let allowsBlank: Bool
  private let parameter: @Sendable (String) -> JSON
  private let reader: Reader

  /// - Parameters:
  ///   - optionalSchema: defaults to `schema`, null or a string of whitespace.
  ///   - parameterSchema: defaults to `schema`.
  ///   - allowsBlank: false if a string of whitespace is an error, not an absent value.
  ///   - parameter: converts the text of a query parameter to the JSON that `reader` expects. Text that it cannot
  ///     convert becomes a string, which `reader` rejects.
  package init(
    _ schema: JSON, optionalSchema: JSON? = nil, parameterSchema: JSON? = nil, allowsBlank: Bool = true,
    parameter: @escaping @Sendable (String) -> JSON = { .string($0) }, reader: @escaping Reader
  ) {
    self.schema = schema
    ownOptionalSchema = optionalSchema
    ownParameterSchema = parameterSchema
    self.allowsBlank = allowsBlank
    self.parameter = parameter
    self.reader = reader
  }

  /// The JSON Schema of a value that may be absent.
  package var optionalSchema: JSON {
    ownOptionalSchema ?? ["anyOf": [schema, ["type": ["string", "null"], "pattern": "^\\s*$"]]]
  }

  /// A copy with another schema of the values that are set aside.
  func settingAside(_ schema: JSON) -> Rule {
    var rule = self
    rule.asideSchema = schema
    return rule
  }

  /// The JSON Schema of a query parameter.
  package var parameterSchema: JSON { ownParameterSchema ?? schema }

  /// A rule for strings that `parse` can read after trimming. Any other value is rejected with `code`.
  package init(
    _ schema: JSON, else code: FieldCode, _ arguments: MessageArguments = [:],
    parse: @escaping @Sendable (String) -> Value?
  ) {
    self.init(schema) { json, error in json.string.flatMap { parse(trimmed($0)) } ?? error.refuse(code, arguments) }
  }

  package func read(_ json: JSON, _ error: inout FormError) -> Value? { reader(json, &error) }
}

/// A rule for values of any type.
package protocol FieldRule: Sendable {
  var schema: JSON { get }
  var optionalSchema: JSON { get }
  var parameterSchema: JSON { get }
  var asideSchema: JSON { get }
  /// Converts the text of a query parameter to JSON.
  func json(parameter text: String) -> JSON
  /// Reads the value of a field, which must not be null. Nil with an error added if it is invalid; nil without one if
  /// it counts as absent.
  func readField(_ json: JSON, _ error: inout FormError) -> (any FormValue)?
}

extension Rule: FieldRule {
  package func json(parameter text: String) -> JSON { parameter(text) }

  package func readField(_ json: JSON, _ error: inout FormError) -> (any FormValue)? {
    if allowsBlank, let text = json.string, trimmed(text).isEmpty { return nil }
    return read(json, &error)
  }
}
