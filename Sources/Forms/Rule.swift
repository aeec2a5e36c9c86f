import Wire

/// What the value of a field must be: its JSON Schema, and the function that reads it. Whoever owns a type of value can make
/// rules for it.
package struct Rule<Value: FormValue>: Sendable {
  /// Makes a value out of JSON. Nil with an error added where the JSON is wrong, nil without one where it counts as absent.
  package typealias Reader = @Sendable (JSON, inout FormError) -> Value?

  /// JSON Schema 2020-12 of a value that must be there. What it allows is accepted, and what it does not allow is refused.
  /// It cannot say two things: lengths count what is left of a text after cleaning, and not every text is a telephone number.
  package let schema: JSON
  private let ownOptionalSchema: JSON?
  private let ownParameterSchema: JSON?
  /// Whether a text of blanks counts as absent, as null always does: forms send it for what was not filled in.
  private let allowsBlank: Bool
  private let parameter: @Sendable (String) -> JSON
  private let reader: Reader

  /// - Parameters:
  ///   - optionalSchema: `schema`, or null or a text of blanks, without it.
  ///   - parameterSchema: `schema` without it.
  ///   - allowsBlank: false where a blank text is an error, not an absent value.
  ///   - parameter: turns the text of a query's parameter into the JSON that `reader` takes. What it cannot turn stays a text,
  ///     and `reader` refuses it.
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

  /// JSON Schema of a value that may be absent.
  package var optionalSchema: JSON {
    ownOptionalSchema ?? ["anyOf": [schema, ["type": ["string", "null"], "pattern": "^\\s*$"]]]
  }

  /// JSON Schema of a query's parameter.
  package var parameterSchema: JSON { ownParameterSchema ?? schema }

  /// A rule for texts that `parse` can read. What it cannot read, and what is no text, is refused with `code`.
  package init(
    _ schema: JSON, else code: FieldCode, _ arguments: MessageArguments = [:],
    parse: @escaping @Sendable (String) -> Value?
  ) {
    self.init(schema) { json, error in json.string.flatMap(parse) ?? error.refuse(code, arguments) }
  }

  package func read(_ json: JSON, _ error: inout FormError) -> Value? { reader(json, &error) }
}

/// The rule of a field, whatever its values are.
package protocol FieldRule: Sendable {
  var schema: JSON { get }
  var optionalSchema: JSON { get }
  var parameterSchema: JSON { get }
  /// The JSON that is meant by the text of a query's parameter.
  func json(parameter text: String) -> JSON
  /// Reads the value of a field, which is not null; nil also where it counts as absent.
  func readField(_ json: JSON, _ error: inout FormError) -> (any FormValue)?
}

extension Rule: FieldRule {
  package func json(parameter text: String) -> JSON { parameter(text) }

  package func readField(_ json: JSON, _ error: inout FormError) -> (any FormValue)? {
    let isBlank = { (text: String) in text.unicodeScalars.allSatisfy(\.properties.isWhitespace) }
    if allowsBlank, json.string.map(isBlank) == true { return nil }
    return read(json, &error)
  }
}
