import Wire

extension Rule where Value == String {
  /// A language as a BCP 47 tag of at most 35 characters, stored in lower case: `ar`, `en-gb`.
  package static var language: Rule {
    let schema: JSON = [
      "type": "string", "maxLength": 35, "pattern": "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}$",
    ]
    return Rule(schema) { json, error in
      guard let text = json.string.map({ trimmed($0).lowercased() }), isTag(text) else {
        return error.refuse(.invalidLanguage)
      }
      return text
    }
  }

  private static func isTag(_ text: String) -> Bool {
    let parts = text.utf8.split(separator: 0x2D, omittingEmptySubsequences: false)
    guard text.utf8.count <= 35, 1...5 ~= parts.count, let first = parts.first, 2...3 ~= first.count else {
      return false
    }
    return first.allSatisfy { 0x61...0x7A ~= $0 }
      && parts.dropFirst().allSatisfy { part in
        1...8 ~= part.count && part.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 }
      }
  }
}

extension Rule where Value == [String] {
  /// A list of languages that replaces a stored list.
  package static func languages(max: Int) -> Rule {
    let language = Rule<String>.language
    let schema: JSON = ["type": "array", "maxItems": JSON(max), "items": language.schema]
    return list(of: language, 0...max, schema, items: "language tags", allowsBlank: false)
  }
}
