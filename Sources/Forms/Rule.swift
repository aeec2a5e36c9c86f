import Wire

extension Form {
  /// The form as JSON Schema 2020-12: what it allows is accepted, and what it does not is refused. It has no words for
  /// two things: lengths count what is left of a text after cleaning, and not every text is a telephone number.
  package var schema: JSON {
    let schema: JSON = [
      "type": "object",
      "properties": .object(
        fields.map { JSON.Member($0.name, $0.isRequired ? $0.rule.schema : $0.rule.optionalSchema) }),
      "required": .array(fields.filter(\.isRequired).map { .string($0.name) }),
    ]
    if isChange { return schema.setting("anyOf", .array(fields.map { ["required": [.string($0.name)]] })) }
    if atLeastOne.isEmpty { return schema }
    let choices = fields.filter { atLeastOne.contains($0.name) }.map { field -> JSON in
      ["required": [.string(field.name)], "properties": .object([.init(field.name, field.rule.schema)])]
    }
    return schema.setting("anyOf", .array(choices))
  }
}

extension Form.Rule {
  /// A web address as `WebAddress` reads it, with blanks at its ends.
  private static let webAddressPattern: String = {
    let inner = "([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
    let octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    let name = "([0-9A-Za-z_]\(inner)\\.)*[A-Za-z_]\(inner)"
    let host = "(\(name)|(\(octet)\\.){3}\(octet)|\\[[0-9A-Fa-f.:]{0,22}:[0-9A-Fa-f.:]{1,22}\\])"
    let port = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
    let rest = "[/?#][^\\u0000- \"<>\\\\^`{|}\\u007f]*"
    return "^ *[Hh][Tt][Tt][Pp][Ss]?://\(host)(:(\(port)))?(\(rest))? *$"
  }()

  /// A value that must be there.
  package var schema: JSON {
    switch self {
    case .text(let range), .line(let range):
      return Self.text(range).setting("pattern", range.lowerBound > 1 ? "\\S[\\s\\S]*\\S" : "\\S")
    case .phone:
      return Self.text(5...32).setting("format", "phone")
        .setting("description", "a telephone number in any common writing")
    case .email: return ["type": "string", "maxLength": 254, "format": "email"]
    case .webAddress:
      return ["type": "string", "maxLength": 2000, "pattern": .string(Self.webAddressPattern)]
    case .uuid: return ["type": "string", "format": "uuid"]
    case .integer(let range):
      return ["type": "integer", "minimum": JSON(range.lowerBound), "maximum": JSON(range.upperBound)]
    case .boolean: return ["type": "boolean"]
    case .choice(let words): return ["type": "string", "enum": .array(words.map(JSON.string))]
    case .time: return ["description": "ISO 8601 with a zone; anything else counts as absent"]
    case .instant:
      // What we reckon with: 1970 to 9999, and the offsets that there are.
      let pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-.*([Zz]|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
      return ["type": "string", "format": "date-time", "pattern": .string(pattern)]
    case .day(let edge):
      return ["type": "string", "format": .string(edge.map { "day-at-the-\($0.rawValue)" } ?? "day-or-time")]
    case .range(let range):
      return [
        "type": "string", "format": "range", "pattern": "^[0-9]+:[0-9]+$",
        "description": .string("min:max, from \(range.lowerBound) to \(range.upperBound)"),
      ]
    case .zone: return ["type": "string", "format": "time-zone"]
    case .cursor: return ["type": "string", "format": "cursor", "maxLength": 400]
    case .document(let form):
      return [
        "type": "string", "format": "json-filters", "contentMediaType": "application/json",
        "contentSchema": form.schema,
      ]
    case .amount:
      // A multipleOf 0.01 is reckoned in binary fractions by many, and wrongly.
      return [
        "type": "number", "minimum": 0, "maximum": 999_999_999_999,
        "description": "two digits behind the point at most",
      ]
    case .choices(let words):
      return ["type": "array", "items": ["type": "string", "enum": .array(words.map(JSON.string))], "minItems": 1]
    case .uuids(let max):
      return ["type": "array", "items": Self.uuid.schema, "minItems": 1, "maxItems": JSON(max)]
    case .lines(let max, let each):
      return ["type": "array", "maxItems": JSON(max), "items": Form.Rule.line(each).schema]
    case .texts(let max, let each):
      // A blank one is left out.
      let item: JSON = ["type": "string", "maxLength": JSON(each.upperBound)]
      return ["type": "array", "maxItems": JSON(max), "items": item]
    case .object(let maxBytes): return ["type": "object", "description": .string("at most \(maxBytes) bytes as JSON")]
    case .form(let form): return form.schema
    case .forms(let form, let max): return ["type": "array", "maxItems": JSON(max), "items": form.schema]
    case .key: return Self.text(1...200).setting("pattern", "^[!-~]+$")
    }
  }

  /// A value that may also be absent: null and a blank text, for all but keys, count as that.
  fileprivate var optionalSchema: JSON {
    switch self {
    case .text(let range) where range.lowerBound == 1, .line(let range) where range.lowerBound == 1:
      return ["type": ["string", "null"], "maxLength": JSON(range.upperBound)]
    case .time: return schema
    case .key: return schema.setting("type", ["string", "null"])
    default: return ["anyOf": [schema, ["type": ["string", "null"], "pattern": "^\\s*$"]]]
    }
  }

  private static func text(_ range: ClosedRange<Int>) -> JSON {
    ["type": "string", "minLength": JSON(range.lowerBound), "maxLength": JSON(range.upperBound)]
  }
}
