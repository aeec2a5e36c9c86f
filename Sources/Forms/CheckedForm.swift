import Wire

/// The validated fields of a request, as typed values.
package struct CheckedForm: FormValue {
  private var values: [(name: String, value: any FormValue)] = []
  /// An error for each value that was set aside.
  package internal(set) var warnings: [FieldError] = []
  /// The values that were set aside, as sent, by their paths: `{"propertyUrl": "/p/7"}`.
  package internal(set) var aside: JSON = [:]

  package init() {}

  /// Reserves memory for this many values.
  init(capacity: Int) { values.reserveCapacity(capacity) }

  /// The value of a field. Nil if an optional field is absent or does not belong to the form.
  package subscript<Value>(field: Field<Value>) -> Value {
    let index = values.firstIndex { $0.name == field.name }
    guard let value = field.value(index.map { values[$0].value }) else {
      // A form with this required field fails its check if the field is absent.
      preconditionFailure("the form has no required field \(field.name) of this type")
    }
    return value
  }

  /// True if the field is present.
  package func has(_ field: any FormField) -> Bool { values.contains { $0.name == field.name } }

  /// An object of the present values, normalised, in the order of the form.
  package var document: JSON { .object(values.map { JSON.Member($0.name, $0.value.document) }) }

  /// `document`, limited to these fields.
  package func document(of fields: [any FormField]) -> JSON {
    .object(
      values.filter { value in fields.contains { $0.name == value.name } }
        .map { JSON.Member($0.name, $0.value.document) })
  }

  mutating func set(_ name: String, _ value: any FormValue) { values.append((name, value)) }

  /// Adds the values of another form.
  package mutating func add(_ other: CheckedForm) { values += other.values }
}
