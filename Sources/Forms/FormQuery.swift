import Wire

extension Form {
  /// The parameters of a query as `check` takes them: each text as its field's rule asks for. A list is written with commas, or
  /// its parameter repeated, which the envelope joins with commas. What cannot be read stays a text, and is refused by its rule.
  package func document(query: [String: String]) -> JSON {
    .object(
      fields.compactMap { field in
        query[field.name].map { JSON.Member(field.name, field.rule.read($0)) }
      })
  }

  /// A fault for each parameter that no field asks for.
  package func strangers(in query: [String: String]) -> [Fault] {
    let known = Set(fields.map(\.name))
    return query.keys.filter { !known.contains($0) }.sorted().map {
      Fault(path: $0, message: "is no parameter of this route")
    }
  }
}

extension Form {
  /// The parameters as JSON Schema 2020-12, each as it is meant. An empty one counts as absent.
  package var querySchema: JSON {
    [
      "type": "object", "properties": .object(fields.map { JSON.Member($0.name, $0.rule.querySchema) }),
      "required": .array(fields.filter(\.isRequired).map { .string($0.name) }),
    ]
  }
}

extension Form.Rule {
  /// A comma parts the items of a list, so none is in an item.
  fileprivate var querySchema: JSON {
    switch self {
    case .texts(let max, let each):
      let item: JSON = ["type": "string", "maxLength": JSON(each.upperBound), "pattern": "^[^,]*$"]
      return ["type": "array", "maxItems": JSON(max), "items": item]
    default: return schema
    }
  }

  fileprivate func read(_ text: String) -> JSON {
    switch self {
    case .integer: Int(strict: text).map { JSON($0) } ?? .string(text)
    case .boolean: ["true": .bool(true), "false": .bool(false)][text] ?? .string(text)
    case .texts, .choices, .uuids: text.isEmpty ? .null : .array(text.split(separator: ",").map { .string(String($0)) })
    case .object, .form: (try? JSON(reading: Array(text.utf8))) ?? .string(text)
    default: .string(text)
    }
  }
}
