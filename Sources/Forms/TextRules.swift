import Wire

extension Rule where Value == String {
  /// Cleaned text. Its length is in Unicode scalars.
  package static func text(_ length: ClosedRange<Int>) -> Rule { text(length, cleaned: cleanText) }

  /// Cleaned text, or a number, which counts as its text: programs send a budget as either. A whole number is written
  /// in full: `2e6` is 2000000.
  package static func textOrNumber(_ length: ClosedRange<Int>) -> Rule {
    let text = Rule.text(length)
    return Rule(
      text.schema.setting("type", ["string", "number"]).setting("minimum", 0),
      optionalSchema: text.optionalSchema.setting("type", ["string", "number", "null"]).setting("minimum", 0)
    ) { json, error in
      guard case .number(let digits) = json else { return text.read(json, &error) }
      guard let value = Double(digits), value >= 0, value.isFinite else { return error.refuse(.notAString) }
      let isShort = digits.utf8.allSatisfy { 0x30...0x39 ~= $0 }
      let isWhole = value < 1e15 && value.rounded() == value
      return text.read(.string(!isShort && isWhole ? String(Int(value)) : digits), &error)
    }
  }

  /// Cleaned text that identifies something, or a whole number, which counts as its text. Text with U+FFFD is rejected:
  /// two broken identifiers could become equal.
  package static func identifier(_ length: ClosedRange<Int>) -> Rule {
    let text = Rule.text(length)
    let schema = text.schema.setting("pattern", "^[^\\uFFFD]*\\S[^\\uFFFD]*$").setting("type", ["string", "integer"])
    return Rule(schema) { json, error in
      guard let value = text.read(json.integer.map { .string(String($0)) } ?? json, &error) else { return nil }
      return value.unicodeScalars.contains("\u{FFFD}") ? error.refuse(.brokenText) : value
    }
  }

  /// Cleaned text on one line, as notifications show a customer's name: line ends and tabs become a space.
  package static func line(_ length: ClosedRange<Int>) -> Rule { text(length, cleaned: cleanLine) }

  private static func text(_ length: ClosedRange<Int>, cleaned: @escaping @Sendable (String) -> String) -> Rule {
    let isShort = length.lowerBound == 1
    let schema: JSON = [
      "type": "string", "minLength": JSON(length.lowerBound), "maxLength": JSON(length.upperBound),
      "pattern": isShort ? "\\S" : "\\S[\\s\\S]*\\S",
    ]
    // If one character is enough, maxLength alone also allows blank strings.
    let optional: JSON? = isShort ? .some(["type": ["string", "null"], "maxLength": JSON(length.upperBound)]) : .none
    return Rule(schema, optionalSchema: optional) { json, error in
      guard let raw = json.string else { return error.refuse(.notAString) }
      let text = cleaned(raw)
      guard text.unicodeScalars.contains(where: isVisible) else { return nil }
      guard length ~= text.unicodeScalars.count else {
        return error.refuse(.invalidLength, ["min": length.lowerBound, "max": length.upperBound])
      }
      return text
    }
  }

  /// True for a visible character. Text without one counts as blank.
  private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
    !scalar.properties.isWhitespace && !scalar.properties.isDefaultIgnorableCodePoint
  }

  /// One of these words.
  package static func choice(_ words: [String]) -> Rule {
    Rule(wordSchema(words), else: .invalidChoice, choices(of: words)) { words.contains($0) ? $0 : nil }
  }

  /// One of these words in upper or lower case, or another name of one: `names` has these in lower case.
  package static func word(_ words: [String], names: [String: [String]] = [:]) -> Rule {
    Rule(wordSchema(words), else: .invalidChoice, choices(of: words)) { text in
      let text = text.lowercased()
      return words.contains(text) ? text : names.first { $0.value.contains(text) }?.key
    }
  }

  fileprivate static func choices(of words: [String]) -> MessageArguments {
    ["choices": words.joined(separator: ", ")]
  }

  fileprivate static func wordSchema(_ words: [String]) -> JSON {
    ["type": "string", "enum": .array(words.map(JSON.string))]
  }

  /// 1 to 200 visible ASCII characters (the Idempotency-Key draft). A blank key is rejected because it would protect
  /// nothing.
  package static var key: Rule {
    let schema: JSON = ["type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"]
    return Rule(schema, optionalSchema: schema.setting("type", ["string", "null"]), allowsBlank: false) { json, error in
      guard let key = json.string.map(trimmed), 1...200 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
      else {
        return error.refuse(.invalidKey)
      }
      return key
    }
  }

  /// The `nextCursor` of a list's previous reply. Only that list can interpret it.
  package static var cursor: Rule {
    let isCursorByte = { @Sendable (byte: UInt8) in
      0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte || byte == 0x2D || byte == 0x5F
    }
    return Rule(
      ["type": "string", "format": "cursor", "maxLength": 400], else: .invalidCursor
    ) { text in 1...400 ~= text.utf8.count && text.utf8.allSatisfy(isCursorByte) ? text : nil }
  }
}

extension Rule where Value == [String] {
  /// A list of these words. An empty list counts as absent, as a panel sends one for a filter without a choice.
  package static func choices(_ words: [String]) -> Rule {
    let schema: JSON = ["type": "array", "items": Rule<String>.wordSchema(words)]
    return Rule(schema, parameter: listParameter) { json, error in
      guard let items = json.array else { return error.refuse(.invalidChoice, Rule<String>.choices(of: words)) }
      let chosen = items.compactMap(\.string).filter(words.contains)
      if chosen.count < items.count { return error.refuse(.invalidChoice, Rule<String>.choices(of: words)) }
      return chosen.isEmpty ? nil : chosen
    }
  }

  /// A list of cleaned texts. Blank ones are ignored.
  package static func texts(max: Int, each: ClosedRange<Int>) -> Rule {
    let item: JSON = ["type": "string", "maxLength": JSON(each.upperBound)]
    let schema: JSON = ["type": "array", "maxItems": JSON(max), "items": item]
    // Commas separate the items of a parameter.
    let parameterSchema = schema.setting("items", item.setting("pattern", "^[^,]*$"))
    return list(
      of: .text(each), 0...max, schema, parameterSchema: parameterSchema, items: "strings")
  }

  /// A list of lines that replaces a stored list. Blank ones are rejected because they are probably mistakes.
  package static func lines(max: Int, each: ClosedRange<Int>) -> Rule {
    let line = Rule<String>.line(each)
    let schema: JSON = ["type": "array", "maxItems": JSON(max), "items": line.schema]
    return list(
      of: line, 0...max, schema, items: "strings", allowsBlank: false)
  }
}
