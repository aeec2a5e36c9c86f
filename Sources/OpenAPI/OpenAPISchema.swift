import Wire

/// Checks a handler's schema before it goes into the document. A foreign schema may contain anything. It is left out
/// entirely if it is not valid JSON Schema 2020-12, contains references or identifiers, or is larger than 65,536 bytes.
enum OpenAPISchema {
  private static let maxBytes = 65_536
  private static let types = ["array", "boolean", "integer", "null", "number", "object", "string"]

  /// Returns the schema, or one that allows anything. Patterns of foreign schemas are left out because their validity
  /// cannot be checked here.
  static func sound(_ schema: JSON, isOurs: Bool) -> JSON {
    guard schema.members != nil, schema.bytes.count <= maxBytes, isSound(schema) else { return [:] }
    return isOurs ? schema : withoutPatterns(schema)
  }

  private static func withoutPatterns(_ schema: JSON) -> JSON {
    guard let members = schema.members else { return schema }
    return .object(
      members.compactMap { member in
        switch member.key {
        case "pattern", "patternProperties": return nil
        case "const", "default", "enum", "examples", "required": return member
        case "properties", "$defs", "dependentSchemas":
          let named = (member.value.members ?? []).map { JSON.Member($0.key, withoutPatterns($0.value)) }
          return .init(member.key, .object(named))
        default:
          return .init(
            member.key, member.value.array.map { .array($0.map(withoutPatterns)) } ?? withoutPatterns(member.value))
        }
      })
  }

  private static func isSound(_ schema: JSON) -> Bool {
    if schema.bool != nil { return true }
    guard let members = schema.members else { return false }
    return members.allSatisfy { isSound($0.key, $0.value) }
  }

  /// Unknown keywords have no effect and are kept.
  private static func isSound(_ keyword: String, _ value: JSON) -> Bool {
    switch keyword {
    case "$ref", "$dynamicRef", "$id", "$anchor", "$dynamicAnchor", "$schema", "$vocabulary", "discriminator", "xml",
      "externalDocs":
      false
    case "type":
      (value.array ?? [value]).allSatisfy { types.contains($0.string ?? "") } && isSet(value.array ?? [value])
    case "properties", "patternProperties", "$defs", "dependentSchemas":
      value.members?.allSatisfy { isSound($0.value) } ?? false
    case "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "contentSchema",
      "unevaluatedItems", "unevaluatedProperties":
      isSound(value)
    case "anyOf", "allOf", "oneOf", "prefixItems": value.array.map { isSet($0) && $0.allSatisfy(isSound) } ?? false
    case "required": isNames(value)
    case "dependentRequired": value.members?.allSatisfy { isNames($0.value) } ?? false
    case "enum": value.array.map(isSet) ?? false
    case "examples": value.array != nil
    case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains",
      "maxContains":
      value.integer.map { $0 >= 0 } ?? false
    case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum": isNumber(value)
    case "multipleOf":
      isNumber(value) && !value.text.hasPrefix("-") && value.text.contains { "123456789".contains($0) }
    case "pattern", "format", "title", "description", "$comment", "contentMediaType", "contentEncoding":
      value.string != nil
    case "uniqueItems", "deprecated", "readOnly", "writeOnly": value.bool != nil
    default: true
    }
  }

  private static func isNumber(_ value: JSON) -> Bool {
    if case .number = value { true } else { false }
  }

  /// True for a list of distinct strings. It may be empty.
  private static func isNames(_ value: JSON) -> Bool {
    value.array.map { names in names.allSatisfy { $0.string != nil } && (names.isEmpty || isSet(names)) } ?? false
  }

  /// True if the list is not empty and has no duplicates.
  private static func isSet(_ values: [JSON]) -> Bool {
    !values.isEmpty && Set(values.map(\.text)).count == values.count
  }
}
