import Wire

/// A form: the fields that a request may have. The check, the typed values and the JSON Schema are all derived from it,
/// so the documentation matches what is enforced.
package struct Form: Sendable {
  package let fields: [any FormField]
  /// At least one of these fields must be present. Empty if the form has no such rule.
  private let alternatives: [any FormField]
  /// The fields of a change that null or a blank string clears; nil if the form is not a change. At least one field of
  /// a change must be named, because the request would otherwise change nothing. Null for any other field is an error:
  /// if it were ignored, the reply would report success for a change that was not made.
  private let clearable: Set<String>?

  package init(_ fields: [any FormField], atLeastOne alternatives: [any FormField] = []) {
    self.fields = fields
    self.alternatives = alternatives
    clearable = nil
  }

  /// A form that changes a resource.
  package init(changing fields: [any FormField], clearable: [any FormField]) {
    self.fields = fields
    alternatives = []
    self.clearable = Set(clearable.map(\.name))
  }

  /// Returns the values of the present fields. Unknown fields, nulls and blank optional strings are ignored. An
  /// unusable value of a lenient field is set aside. Throws all errors at once.
  package func check(_ json: JSON) throws(FormError) -> CheckedForm {
    var error = FormError()
    guard var checked = read(json, &error), !error.refuses else { throw error.thrown }
    checked.warnings = error.fields
    checked.aside = .object(error.aside)
    return checked
  }

  /// Checks a form within another value. Nil, with an error added, if it is not an object.
  func read(_ json: JSON, _ error: inout FormError) -> CheckedForm? {
    guard case .object = json else { return error.refuse(.notAnObject) }
    if clearable != nil, !fields.contains(where: { json[$0.name] != nil }) {
      error.add(.noChange, ["fields": fields.map(\.name).joined(separator: ", ")])
    }
    let count = error.fields.count
    var checked = CheckedForm(capacity: fields.count)
    var wrong: [(field: any FormField, errors: Range<Int>)] = []
    for field in fields {
      let before = error.fields.count
      if let value = field.read(json, &error) {
        checked.set(field.name, value)
      } else if let clearable, !clearable.contains(field.name), json[field.name] != nil, error.fields.count == before {
        error.add(.blank, at: field.name)
      }
      if error.fields.count > before { wrong.append((field, before..<error.fields.count)) }
    }
    for (field, errors) in wrong {
      switch field.strictness {
      case .strict: continue
      case .identifying: if json[field.name]?.isNull == false { error.confirm(errors) }
      case .lenient: error.setAside(errors, of: field.name, json[field.name] ?? .null)
      case .lenientBeside(let other):
        guard fields.contains(where: { $0.name == other && checked.has($0) }) else { continue }
        error.setAside(errors, of: field.name, json[field.name] ?? .null)
      }
    }
    // An invalid field has its own error.
    let isPresent = alternatives.contains { field in
      checked.has(field) || error.fields[count...].contains { $0.path == field.name }
    }
    if let first = alternatives.first, !isPresent {
      error.add(.oneRequired, at: first.name, ["fields": alternatives.map(\.name).joined(separator: " or ")])
    }
    return checked
  }
}

extension Form {
  /// The JSON Schema 2020-12 of the form.
  package var schema: JSON {
    let schema: JSON = [
      "type": "object", "properties": .object(fields.map { JSON.Member($0.name, bodySchema(of: $0)) }),
      "required": requiredNames,
    ]
    if clearable != nil { return schema.setting("anyOf", .array(fields.map { ["required": [.string($0.name)]] })) }
    if alternatives.isEmpty { return schema }
    let choices = alternatives.map { field -> JSON in
      ["required": [.string(field.name)], "properties": .object([.init(field.name, field.rule.schema)])]
    }
    return schema.setting("anyOf", .array(choices))
  }

  /// The JSON Schema 2020-12 of the query parameters. An empty parameter counts as absent.
  package var querySchema: JSON {
    [
      "type": "object", "properties": .object(fields.map { JSON.Member($0.name, $0.rule.parameterSchema) }),
      "required": requiredNames,
    ]
  }

  private func bodySchema(of field: any FormField) -> JSON {
    clearable?.contains(field.name) == false ? field.rule.schema : field.schema
  }

  private var requiredNames: JSON { .array(fields.filter(\.isRequired).map { .string($0.name) }) }
}

extension Form {
  /// Converts query parameters to an object for `check`.
  package func document(query: [String: String]) -> JSON {
    .object(
      fields.compactMap { field in
        query[field.name].map { JSON.Member(field.name, field.rule.json(parameter: $0)) }
      })
  }

  /// Returns an error for each parameter that the form does not have.
  package func unknownParameters(in query: [String: String]) -> FormError {
    let known = Set(fields.map(\.name))
    return FormError(
      fields: query.keys.filter { !known.contains($0) }.sorted().map {
        FieldError(.unknownParameter, at: $0)
      })
  }
}
