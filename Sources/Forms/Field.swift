import Wire

/// A field of a form. A checked form gives its value with this type: optional for a field that may be absent.
package struct Field<Value: Sendable>: FormField {
  package let name: String
  package let isRequired: Bool
  package let rule: any FieldRule
  /// The field's value out of what the rule has made, which is nil where the field was absent. Nil where there is no such value.
  let value: @Sendable ((any FormValue)?) -> Value?

  package static func required(_ name: String, _ rule: Rule<Value>) -> Field where Value: FormValue {
    Field(name: name, isRequired: true, rule: rule) { $0.flatMap { $0 as? Value } }
  }

  package static func optional<Wrapped>(_ name: String, _ rule: Rule<Wrapped>) -> Field where Value == Wrapped? {
    Field(name: name, isRequired: false, rule: rule) { .some($0.flatMap { $0 as? Wrapped }) }
  }
}

/// A field, whatever its value is.
package protocol FormField: Sendable {
  var name: String { get }
  var isRequired: Bool { get }
  var rule: any FieldRule { get }
}

extension FormField {
  /// JSON Schema of the field in a body.
  var schema: JSON { isRequired ? rule.schema : rule.optionalSchema }

  /// The value out of an object. Nil with an error added where it is wrong or missing.
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

/// So that the fields of a form can be written `.required("id", .uuid)` where nothing else needs them.
extension FormField {
  package static func required<Value>(_ name: String, _ rule: Rule<Value>) -> Field<Value> where Self == Field<Value> {
    Field.required(name, rule)
  }

  package static func optional<Value>(_ name: String, _ rule: Rule<Value>) -> Field<Value?>
  where Self == Field<Value?> {
    Field.optional(name, rule)
  }
}
