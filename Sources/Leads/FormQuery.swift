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
}

extension Form.Rule {
  fileprivate func read(_ text: String) -> JSON {
    switch self {
    case .integer: Int(strict: text).map { JSON($0) } ?? .string(text)
    case .boolean: ["true": .bool(true), "false": .bool(false)][text] ?? .string(text)
    case .texts, .choices: .array(text.split(separator: ",").map { .string(String($0)) })
    case .object, .form: (try? JSON(reading: Array(text.utf8))) ?? .string(text)
    default: .string(text)
    }
  }
}
