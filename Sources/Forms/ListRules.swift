import Wire

extension Rule {
  /// A list whose items are read by one rule. Anything else is refused with `message`.
  /// - Parameter blank: what to refuse the list with for each item that counts as absent; without it such items are left out.
  static func list<Item>(
    of item: Rule<Item>, _ count: ClosedRange<Int>, _ schema: JSON, parameterSchema: JSON? = nil, else message: String,
    blank: String? = nil
  ) -> Rule where Value == [Item] {
    Rule(schema, parameterSchema: parameterSchema, parameter: listParameter) { json, error in
      guard let items = json.array, count ~= items.count else { return error.refuse(message) }
      var values: [Item] = []
      values.reserveCapacity(items.count)
      for (index, json) in items.enumerated() {
        let count = error.fields.count
        if let value = error.within("[\(index)]", read: { error in item.read(json, &error) }) {
          values.append(value)
        } else if let blank, error.fields.count == count {
          error.add(blank)
        }
      }
      return values
    }
  }

  /// A list as a parameter writes it, with commas. A parameter that is repeated comes joined with commas.
  static var listParameter: @Sendable (String) -> JSON {
    { text in text.isEmpty ? .null : .array(text.split(separator: ",").map { .string(String($0)) }) }
  }
}

extension Rule where Value == [UUIDText] {
  /// A list of one or more ids.
  package static func uuids(max: Int) -> Rule {
    let id = Rule<UUIDText>.uuid
    let schema: JSON = ["type": "array", "items": id.schema, "minItems": 1, "maxItems": JSON(max)]
    return list(of: id, 1...max, schema, else: "must be a list of 1 to \(max) UUIDs")
  }
}

extension Rule where Value == [CheckedForm] {
  package static func forms(_ form: Form, max: Int) -> Rule {
    let item = Rule<CheckedForm>.form(form)
    let schema: JSON = ["type": "array", "maxItems": JSON(max), "items": item.schema]
    return list(of: item, 0...max, schema, else: "must be a list of at most \(max) objects")
  }
}

extension Rule where Value == CheckedForm {
  /// A form within a form.
  package static func form(_ form: Form) -> Rule {
    Rule(form.schema, parameter: documentParameter) { json, error in form.read(json, &error) }
  }

  /// A form that is written as JSON into one text, as a query's parameter is.
  package static func document(_ form: Form) -> Rule {
    let schema: JSON = [
      "type": "string", "format": "json-filters", "contentMediaType": "application/json", "contentSchema": form.schema,
    ]
    return Rule(schema) { json, error in
      guard let text = json.string else { return form.read(json, &error) }
      guard let json = try? JSON(reading: text) else { return error.refuse("must be a JSON object") }
      return form.read(json, &error)
    }
  }
}

extension Rule where Value == JSON {
  /// Any object, at most so many bytes as JSON.
  package static func object(maxBytes: Int) -> Rule {
    let schema: JSON = ["type": "object", "description": .string("at most \(maxBytes) bytes as JSON")]
    return Rule(schema, parameter: documentParameter) { json, error in
      guard case .object = json else { return error.refuse("must be an object") }
      return json.bytes.count <= maxBytes ? json : error.refuse("must not be larger than \(maxBytes) bytes")
    }
  }
}

extension Rule {
  /// JSON that stands in a parameter.
  fileprivate static var documentParameter: @Sendable (String) -> JSON {
    { text in (try? JSON(reading: text)) ?? .string(text) }
  }
}
