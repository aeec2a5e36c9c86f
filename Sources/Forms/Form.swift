import Wire

/// A form: the fields that a request may have, in one table. The check, the typed values and the JSON Schema all come from it,
/// so that what is documented is what is enforced.
package struct Form: Sendable {
  package let fields: [any FormField]
  /// At least one of these fields must be there; empty where there is no such rule.
  private let alternatives: [any FormField]
  /// Whether one of the fields must be named, if only to be emptied: without any the request would change nothing.
  private let isChange: Bool

  package init(
    _ fields: [any FormField], atLeastOne alternatives: [any FormField] = [], isChange: Bool = false
  ) {
    self.fields = fields
    self.alternatives = alternatives
    self.isChange = isChange
  }

  /// The values of the fields that are there. Fields that the form does not have, nulls and blank optional texts are left out.
  package func check(_ json: JSON) throws(FormError) -> CheckedForm {
    var error = FormError()
    guard let checked = read(json, &error), error.isEmpty else { throw error }
    return checked
  }

  /// The same for a form within another value: nil with an error added where it is no object.
  func read(_ json: JSON, _ error: inout FormError) -> CheckedForm? {
    guard case .object = json else { return error.refuse(.notAnObject) }
    if isChange, !fields.contains(where: { json[$0.name] != nil }) {
      error.add(.noChange, ["fields": fields.map(\.name).joined(separator: ", ")])
    }
    let count = error.fields.count
    var checked = CheckedForm(capacity: fields.count)
    for field in fields {
      if let value = field.read(json, &error) { checked.set(field.name, value) }
    }
    // A field that is there and wrong has its own error.
    let isAnswered = alternatives.contains { field in
      checked.has(field) || error.fields[count...].contains { $0.path == field.name }
    }
    if let first = alternatives.first, !isAnswered {
      error.add(.oneRequired, at: first.name, ["fields": alternatives.map(\.name).joined(separator: " or ")])
    }
    return checked
  }
}

extension Form {
  /// The form as JSON Schema 2020-12.
  package var schema: JSON {
    let schema: JSON = [
      "type": "object", "properties": .object(fields.map { JSON.Member($0.name, $0.schema) }),
      "required": requiredNames,
    ]
    if isChange { return schema.setting("anyOf", .array(fields.map { ["required": [.string($0.name)]] })) }
    if alternatives.isEmpty { return schema }
    let choices = alternatives.map { field -> JSON in
      ["required": [.string(field.name)], "properties": .object([.init(field.name, field.rule.schema)])]
    }
    return schema.setting("anyOf", .array(choices))
  }

  /// The parameters of a query as JSON Schema 2020-12. An empty parameter counts as absent.
  package var querySchema: JSON {
    [
      "type": "object", "properties": .object(fields.map { JSON.Member($0.name, $0.rule.parameterSchema) }),
      "required": requiredNames,
    ]
  }

  private var requiredNames: JSON { .array(fields.filter(\.isRequired).map { .string($0.name) }) }
}

extension Form {
  /// The parameters of a query as `check` takes them.
  package func document(query: [String: String]) -> JSON {
    .object(
      fields.compactMap { field in
        query[field.name].map { JSON.Member(field.name, field.rule.json(parameter: $0)) }
      })
  }

  /// An error for each parameter that the form does not have.
  package func unknownParameters(in query: [String: String]) -> FormError {
    let known = Set(fields.map(\.name))
    return FormError(
      fields: query.keys.filter { !known.contains($0) }.sorted().map {
        FieldError(.unknownParameter, at: $0)
      })
  }
}
