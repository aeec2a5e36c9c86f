import Wire

/// A field of a form. A checked form returns its value with this type, which is optional if the field may be absent.
package struct Field<Value: Sendable>: FormField {
  package let name: String
  package let isRequired: Bool
  package let rule: any FieldRule
  /// Converts the rule's result, which is nil if the field was absent, into the field's value. Nil if it is not one.
  let value: @Sendable ((any FormValue)?) -> Value?

  package static func required(_ name: String, _ rule: Rule<Value>) -> Field where Value: FormValue {
    Field(name: name, isRequired: true, rule: rule) { $0.flatMap { $0 as? Value } }
  }

  package static func optional<Wrapped>(_ name: String, _ rule: Rule<Wrapped>) -> Field where Value == Wrapped? {
    Field(name: name, isRequired: false, rule: rule) { .some($0.flatMap { $0 as? Wrapped }) }
  }
}

/// A field with a value of any type.
package protocol FormField: Sendable {
  var name: String { get }
  var isRequired: Bool { get }
  var rule: any FieldRule { get }
}

extension FormField {
  /// The JSON Schema of the field in a body.
  var schema: JSON { isRequired ? rule.schema : rule.optionalSchema }

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
