import Wire

/// A field of a form. A checked form returns its value with this type, which is optional if the field may be absent.
package struct Field<Value: Sendable>: FormField {
  package let name: String
  package let isRequired: Bool
  package let rule: any FieldRule
  package private(set) var strictness = Strictness.strict
  /// Converts the rule's result, which is nil if the field was absent, into the field's value. Nil if it is not one.
  let value: @Sendable ((any FormValue)?) -> Value?

  package static func required(_ name: String, _ rule: Rule<Value>) -> Field where Value: FormValue {
    Field(name: name, isRequired: true, rule: rule) { $0.flatMap { $0 as? Value } }
  }

  package static func optional<Wrapped>(_ name: String, _ rule: Rule<Wrapped>) -> Field where Value == Wrapped? {
    Field(name: name, isRequired: false, rule: rule) { .some($0.flatMap { $0 as? Wrapped }) }
  }
}

extension Field {
  /// A copy whose unusable value is set aside with a warning, so that the request is stored without it.
  package var lenient: Field { with(.lenient) }

  /// A copy that is lenient in a request with a valid field `other`, and strict in any other request.
  package func lenient(beside other: any FormField) -> Field { with(.lenientBeside(other.name)) }

  /// A copy of which an invalid value refuses the request, even inside a lenient field. An absent value does not.
  package var identifying: Field { with(.identifying) }

  private func with(_ strictness: Strictness) -> Field {
    var field = self
    field.strictness = strictness
    return field
  }
}

/// What an unusable value of a field does to the request.
package enum Strictness: Sendable, Equatable {
  case strict, lenient, lenientBeside(String), identifying
}

/// A field with a value of any type.
package protocol FormField: Sendable {
  var name: String { get }
  var isRequired: Bool { get }
  var rule: any FieldRule { get }
  var strictness: Strictness { get }
}

extension FormField {
  /// The JSON Schema of the field in a body.
  var schema: JSON {
    let schema = isRequired ? rule.schema : rule.optionalSchema
    switch strictness {
    case .strict, .identifying: return schema
    case .lenient, .lenientBeside: return ["anyOf": [schema, rule.asideSchema]]
    }
  }

  /// Reads the field from an object. Nil if it is absent, invalid or missing; the last two add an error.
  func read(_ object: JSON, _ error: inout FormError) -> (any FormValue)? {
    let count = error.fields.count
    if let json = object[name], !json.isNull,
      let value = error.within(name, read: { error in rule.readField(json, &error) })
    {
      return value
    }
    if isRequired, error.fields.count == count { error.add(.required, at: name) }
    return nil
  }
}

/// Shorthand for a field that is used only in its form: `.required("id", .uuid)`.
extension FormField {
  package static func required<Value>(_ name: String, _ rule: Rule<Value>) -> Field<Value> where Self == Field<Value> {
    Field.required(name, rule)
  }

  package static func optional<Value>(_ name: String, _ rule: Rule<Value>) -> Field<Value?>
  where Self == Field<Value?> {
    Field.optional(name, rule)
  }
}
