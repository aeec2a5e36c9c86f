import Wire

/// What a request said in the fields of a form: each value with its type, all errors excluded.
package struct CheckedForm: FormValue {
  private var values: [(name: String, value: any FormValue)] = []

  package init() {}

  /// With room for the values of so many fields.
  init(capacity: Int) { values.reserveCapacity(capacity) }

  /// The value of a field. Nil where an optional field was absent, or is none of this form.
  package subscript<Value>(field: Field<Value>) -> Value {
    let index = values.firstIndex { $0.name == field.name }
    guard let value = field.value(index.map { values[$0].value }) else {
      // A form that has the field does not pass its check without it.
      preconditionFailure("the form has no required field \(field.name) of this type")
    }
    return value
  }

  /// Whether a field was there.
  package func has(_ field: any FormField) -> Bool { values.contains { $0.name == field.name } }

  /// An object with the values that were there, normalised, in the order of the form.
  package var document: JSON { .object(values.map { JSON.Member($0.name, $0.value.document) }) }

  /// The same with these fields only.
  package func document(of fields: [any FormField]) -> JSON {
    .object(
      values.filter { value in fields.contains { $0.name == value.name } }
        .map { JSON.Member($0.name, $0.value.document) })
  }

  mutating func set(_ name: String, _ value: any FormValue) { values.append((name, value)) }

  /// Adds what another form said.
  package mutating func add(_ other: CheckedForm) { values += other.values }
}
