import Wire

extension Rule {
  /// A list of items that follow one rule.
  /// - Parameters:
  ///   - items: the plural name of the items, for the error message.
  ///   - allowsBlank: true if items that count as absent are ignored, false if they are rejected.
  ///   - keepsLast: true if only the last items of a longer list are read, with a warning; false if it is rejected.
  static func list<Item>(
    of item: Rule<Item>, _ count: ClosedRange<Int>, _ schema: JSON, parameterSchema: JSON? = nil, items name: String,
    allowsBlank: Bool = true, keepsLast: Bool = false
  ) -> Rule where Value == [Item] {
    Rule(schema, parameterSchema: parameterSchema, parameter: listParameter) { json, error in
      guard let items = json.array, count ~= items.count || keepsLast && items.count > count.upperBound else {
        let size = count.lowerBound == 0 ? "at most \(count.upperBound)" : "\(count.lowerBound) to \(count.upperBound)"
        return error.refuse(.invalidList, ["count": size, "items": name])
      }
      var values: [Item] = []
      values.reserveCapacity(min(items.count, count.upperBound))
      if items.count > count.upperBound { error.warn(.listCut, ["max": count.upperBound]) }
      for (index, json) in items.enumerated().suffix(count.upperBound) {
        let count = error.fields.count
        if let value = error.within("[\(index)]", read: { error in item.read(json, &error) }) {
          values.append(value)
        } else if !allowsBlank, error.fields.count == count {
          error.add(.blank, at: "[\(index)]")
        }
      }
      return values
    }
  }

  /// Parses a comma-separated parameter. Repeated parameters have already been joined with commas.
  static var listParameter: @Sendable (String) -> JSON {
    { text in text.isEmpty ? .null : .array(text.split(separator: ",").map { .string(String($0)) }) }
  }
}

extension Rule where Value == [UUIDText] {
  /// A list of one or more ids.
  package static func uuids(max: Int) -> Rule {
    let id = Rule<UUIDText>.uuid
    let schema: JSON = ["type": "array", "items": id.schema, "minItems": 1, "maxItems": JSON(max)]
    return list(of: id, 1...max, schema, items: "UUIDs")
  }

  /// A filter by ids and by the word `none`, which is read as the id of zeros. An empty list counts as absent.
  package static func anyUUIDsOrNone(max: Int) -> Rule {
    let own = Rule<UUIDText>.uuid
    let id = Rule<UUIDText>(["anyOf": [own.schema, ["const": "none"]]]) { json, error in
      json.string == "none" ? UUIDText.zero : own.read(json, &error)
    }
    let schema: JSON = ["type": "array", "items": id.schema, "maxItems": JSON(max)]
    let ids = list(of: id, 0...max, schema, items: "UUIDs")
    return Rule(schema, parameter: listParameter) { json, error in
      ids.read(json, &error).flatMap { $0.isEmpty ? nil : $0 }
    }
  }
}

extension Rule where Value == [CheckedForm] {
  /// The last `max` forms of a list.
  package static func lastForms(_ form: Form, max: Int) -> Rule {
    let item = Rule<CheckedForm>.form(form)
    let schema: JSON = ["type": "array", "maxItems": JSON(max), "items": item.schema]
    return list(of: item, 0...max, schema, items: "objects", keepsLast: true).settingAside(asideSchema(of: form))
  }

  /// Any value, but an identifying field of an object in the list must be valid or absent.
  private static func asideSchema(of form: Form) -> JSON {
    let fields = form.fields.filter { $0.strictness == .identifying }
    let properties = fields.map { JSON.Member($0.name, ["anyOf": [$0.rule.schema, ["type": "null"]]]) }
    return [
      "description": "any other value is set aside, with a warning", "items": ["properties": .object(properties)],
    ]
  }
}

extension Rule where Value == CheckedForm {
  /// A form within a form.
  package static func form(_ form: Form) -> Rule {
    Rule(form.schema, parameter: documentParameter) { json, error in
      let count = error.fields.count
      let checked = form.read(json, &error)
      return error.refuses(since: count) ? nil : checked
    }
  }

  /// A form of filters written as JSON in one string, as in a query parameter. A list without a value counts as absent,
  /// whatever the filter: panels send one for a filter without a choice.
  package static func document(_ form: Form) -> Rule {
    let schema: JSON = [
      "type": "string", "format": "json-filters", "contentMediaType": "application/json", "contentSchema": form.schema,
    ]
    return Rule(schema) { json, error in
      guard let text = json.string else { return form.read(withoutEmptyLists(json), &error) }
      guard let json = try? JSON(reading: text) else { return error.refuse(.notAnObject) }
      return json.isNull ? nil : form.read(withoutEmptyLists(json), &error)
    }
  }

  /// Returns an object without the lists whose items are all null or blank.
  private static func withoutEmptyLists(_ json: JSON) -> JSON {
    guard let members = json.members else { return json }
    return .object(
      members.filter { member in
        let isBlank = { (item: JSON) in item.isNull || item.string.map { trimmed($0).isEmpty } == true }
        return member.value.array.map { !$0.allSatisfy(isBlank) } ?? true
      })
  }
}

extension Rule where Value == JSON {
  /// Any object of at most `maxBytes` bytes as JSON and 8 levels, so that it can be stored and shown within others.
  package static func object(maxBytes: Int) -> Rule {
    let maxDepth = 8
    let schema: JSON = [
      "type": "object",
      "description": .string("at most \(maxBytes) bytes as JSON, nested at most \(maxDepth) levels deep"),
    ]
    return Rule(schema, parameter: documentParameter) { json, error in
      guard case .object = json else { return error.refuse(.notAnObject) }
      guard json.depth <= maxDepth else { return error.refuse(.tooDeep, ["max": maxDepth]) }
      return json.storedSize <= maxBytes ? json : error.refuse(.tooLarge, ["max": maxBytes])
    }
  }
}

extension Rule {
  /// Parses JSON in a parameter. Invalid JSON becomes a string.
  fileprivate static var documentParameter: @Sendable (String) -> JSON {
    { text in (try? JSON(reading: text)) ?? .string(text) }
  }
}
