import Wire

extension Rule where Value == Int {
  package static func integer(_ range: ClosedRange<Int>) -> Rule {
    let schema: JSON = [
      "type": "integer", "minimum": JSON(range.lowerBound), "maximum": JSON(range.upperBound),
    ]
    return Rule(schema, parameter: { text in Int(strict: text).map { JSON($0) } ?? .string(text) }) { json, error in
      guard let number = json.integer, range ~= number else {
        return error.refuse(.invalidInteger, ["min": range.lowerBound, "max": range.upperBound])
      }
      return number
    }
  }
}

extension Rule where Value == Int {
  /// The number of rows on a page of a list: 1 to `max`. A client that asks for more wants all rows, so the error says
  /// how to get them.
  package static func pageSize(max: Int) -> Rule {
    let size = Rule.integer(1...max)
    return Rule(size.schema, parameter: size.json) { json, error in
      if let number = json.integer, number > max { return error.refuse(.limitTooLarge, ["max": max]) }
      return size.read(json, &error)
    }
  }
}

extension Rule where Value == Bool {
  package static var boolean: Rule {
    let words: [String: JSON] = ["true": true, "false": false]
    return Rule(["type": "boolean"], parameter: { text in words[text] ?? .string(text) }) { json, error in
      json.bool ?? error.refuse(.invalidBoolean)
    }
  }
}

extension Rule where Value == ClosedRange<Int> {
  /// Two whole numbers, `60:100` or [60, 100]. An empty list counts as absent.
  package static func range(_ limits: ClosedRange<Int>) -> Rule {
    let schema: JSON = [
      "type": "string", "format": "range", "pattern": "^[0-9]+:[0-9]+$",
      "description": .string("min:max, from \(limits.lowerBound) to \(limits.upperBound)"),
    ]
    return Rule(schema) { json, error in
      if json.array?.isEmpty == true { return nil }
      let ends = json.array?.map(\.integer) ?? json.string.map(ends) ?? []
      guard ends.count == 2, let min = ends[0], let max = ends[1], min <= max, limits ~= min, limits ~= max else {
        return error.refuse(.invalidRange, ["min": limits.lowerBound, "max": limits.upperBound])
      }
      return min...max
    }
  }

  private static func ends(_ text: String) -> [Int?] {
    text.split(separator: ":", omittingEmptySubsequences: false).map { Int(strict: $0) }
  }
}

extension Rule where Value == JSON {
  /// An amount of money: at most twelve digits before the decimal point and two after it. It remains a JSON number, so
  /// it reaches the database without rounding.
  package static var amount: Rule {
    // Many validators compute multipleOf 0.01 in binary floating point, with wrong results.
    let schema: JSON = [
      "type": "number", "minimum": 0, "maximum": 999_999_999_999,
      "description": "at most two digits after the decimal point",
    ]
    return Rule(schema) { json, error in
      guard case .number(let text) = json, isAmount(text) else {
        return error.refuse(.invalidAmount)
      }
      return json
    }
  }

  private static func isAmount(_ text: String) -> Bool {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return 1...2 ~= parts.count && 1...12 ~= parts[0].count && (parts.count == 1 || 1...2 ~= parts[1].count)
      && parts.joined().allSatisfy { 0x30...0x39 ~= $0 }
  }
}
