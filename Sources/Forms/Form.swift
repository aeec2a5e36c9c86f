import Wire

/// A form: the fields a request may have, in one table. From it come the check, the normalised values and the JSON Schema,
/// so that what is documented is what is enforced.
package struct Form: Sendable {
  /// What a field must hold.
  package indirect enum Rule: Sendable {
    /// Cleaned text; the length in Unicode scalars.
    case text(ClosedRange<Int>)
    /// The same on one line, as notices write a customer's name: what ends a line, and tabs, become a blank.
    case line(ClosedRange<Int>)
    case phone
    case email
    /// http or https, as every reader reads it alike.
    case webAddress
    case uuid
    case integer(ClosedRange<Int>)
    case boolean
    case choice([String])
    /// ISO 8601; a bad one counts as absent.
    case time
    /// ISO 8601; a bad one is refused.
    case instant
    /// A day, `2026-11-23`, or a moment as ISO 8601 writes it. `edge` says which end of a span it is, for whoever reads the schema.
    case day(DayEdge? = nil)
    /// Two whole numbers, `60:100` or [60, 100]; becomes {min, max}.
    case range(ClosedRange<Int>)
    /// A place by its name in the tz database.
    case zone
    /// Where a list was left, as it said itself: what it means is the list's to judge.
    case cursor
    /// Money: up to twelve digits, and two behind the point.
    case amount
    /// A list of one or more of these words.
    case choices([String])
    /// A list of one or more ids.
    case uuids(max: Int)
    case texts(max: Int, each: ClosedRange<Int>)
    case lines(max: Int, each: ClosedRange<Int>)
    /// A form written as JSON into one text, as a query's parameter is.
    case document(Form)
    /// Any object, at most so many bytes as JSON.
    case object(maxBytes: Int)
    case form(Form)
    case forms(Form, max: Int)
    /// 1 to 200 visible ASCII characters (the Idempotency-Key draft).
    case key
  }

  package enum DayEdge: String, Sendable { case start, end }

  package struct Field: Sendable {
    let name: String
    let rule: Rule
    let isRequired: Bool

    package static func required(_ name: String, _ rule: Rule) -> Field {
      Field(name: name, rule: rule, isRequired: true)
    }
    package static func optional(_ name: String, _ rule: Rule) -> Field {
      Field(name: name, rule: rule, isRequired: false)
    }
  }

  /// One fault: `messages[3].id`, `is required`.
  package struct Fault: Sendable, Equatable {
    package let path: String
    package let message: String

    package init(path: String, message: String) {
      self.path = path
      self.message = message
    }
  }

  /// All faults of a request at once.
  package struct Faults: Error, Sendable, Equatable {
    package let faults: [Fault]

    package init(faults: [Fault]) { self.faults = faults }
  }

  package let fields: [Field]
  /// Of these fields at least one must be there; empty where there is no such rule.
  package let atLeastOne: [String]
  private let reason: String
  /// Whether one of the fields must be named, if only to be emptied: without any the request would change nothing.
  package let isChange: Bool

  /// `reason` ends the sentence that refuses a request without any of `atLeastOne`.
  package init(_ fields: [Field], atLeastOne: [String] = [], because reason: String = "", isChange: Bool = false) {
    self.fields = fields
    self.atLeastOne = atLeastOne
    self.reason = reason
    self.isChange = isChange
  }

  /// The values of the known fields, cleaned and normalised. Unknown fields, nulls and blank optional texts are left out.
  package func check(_ json: JSON) throws(Faults) -> JSON {
    var faults: [Fault] = []
    let checked = check(json, at: "", &faults)
    guard faults.isEmpty else { throw Faults(faults: faults) }
    return checked ?? [:]
  }

  fileprivate func check(_ json: JSON, at path: String, _ faults: inout [Fault]) -> JSON? {
    guard case .object = json else {
      faults.append(Fault(path: path, message: "must be an object"))
      return nil
    }
    if isChange, !fields.contains(where: { json[$0.name] != nil }) {
      faults.append(Fault(path: path, message: "must name one of \(fields.map(\.name).joined(separator: ", "))"))
    }
    var checked: [JSON.Member] = []
    for field in fields {
      let place = path.isEmpty ? field.name : "\(path).\(field.name)"
      let count = faults.count
      if let value = json[field.name], !field.rule.isAbsent(value),
        let good = field.rule.check(value, at: place, &faults)
      {
        checked.append(JSON.Member(field.name, good))
      } else if field.isRequired, faults.count == count {
        faults.append(Fault(path: place, message: "is required"))
      }
    }
    // A field that is there and wrong has its own fault.
    let places = atLeastOne.map { path.isEmpty ? $0 : "\(path).\($0)" }
    let isAnswered = checked.contains { atLeastOne.contains($0.key) } || faults.contains { places.contains($0.path) }
    if let first = places.first, !isAnswered {
      let others = atLeastOne.dropFirst().joined(separator: " or ")
      faults.append(Fault(path: first, message: "or \(others) is required\(reason)"))
    }
    return .object(checked)
  }
}

extension Form.Rule {
  /// Null, and a text of blanks, as a form sends for what was not filled in. A key that is blank is wrong instead: it would
  /// protect nothing.
  fileprivate func isAbsent(_ value: JSON) -> Bool {
    if case .key = self { return value.isNull }
    return value.isNull || value.string.map { $0.unicodeScalars.allSatisfy(\.properties.isWhitespace) } ?? false
  }

  /// A day that there is, from 1970 on.
  private static func day(_ text: String) -> String? {
    text.utf8.count == 10 && Instant(iso8601: text + "T00:00Z") != nil ? text : nil
  }

  private static func ends(_ text: String) -> [JSON] {
    text.split(separator: ":", omittingEmptySubsequences: false).map { Int(strict: $0).map { JSON($0) } ?? .null }
  }

  private static func isAmount(_ text: String) -> Bool {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return 1...2 ~= parts.count && 1...12 ~= parts[0].count && (parts.count == 1 || 1...2 ~= parts[1].count)
      && parts.joined().allSatisfy { 0x30...0x39 ~= $0 }
  }

  /// Without the blanks at the ends that keyboards add. Nothing else is taken away from an address: it could make another
  /// one of it.
  private static func trimmed(_ text: String) -> String {
    guard text.utf8.first == 0x20 || text.utf8.last == 0x20 else { return text }
    return String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }

  /// The normalised value; nil with a fault when it is wrong, nil without one when it counts as absent.
  fileprivate func check(_ value: JSON, at path: String, _ faults: inout [Form.Fault]) -> JSON? {
    func refuse(_ message: String) -> JSON? {
      faults.append(Form.Fault(path: path, message: message))
      return nil
    }
    func text(_ range: ClosedRange<Int>, _ clean: (String) -> String = cleanText) -> String? {
      guard let raw = value.string else {
        _ = refuse("must be a text")
        return nil
      }
      let text = clean(raw)
      // What nobody can see counts as blank.
      let isVisible = { (scalar: Unicode.Scalar) in
        !scalar.properties.isWhitespace && !scalar.properties.isDefaultIgnorableCodePoint
      }
      guard text.unicodeScalars.contains(where: isVisible) else { return nil }
      guard range ~= text.unicodeScalars.count else {
        _ = refuse("must have \(range.lowerBound) to \(range.upperBound) characters")
        return nil
      }
      return text
    }
    switch self {
    case .text(let range): return text(range).map(JSON.string)
    case .line(let range): return text(range, cleanLine).map(JSON.string)
    case .phone:
      guard let raw = text(5...32) else { return nil }
      return PhoneNumber(raw).map { .string($0.e164) } ?? refuse("must be a telephone number")
    case .email:
      guard let raw = value.string else { return refuse("must be a text") }
      return EmailAddress(Self.trimmed(raw)).map { .string($0.text) } ?? refuse("must be a mail address")
    case .webAddress:
      guard let raw = value.string else { return refuse("must be a text") }
      return WebAddress(Self.trimmed(raw)).map { .string($0.text) } ?? refuse("must be an http or https address")
    case .uuid: return value.string.flatMap(UUIDText.init).map { .string($0.text) } ?? refuse("must be a UUID")
    case .integer(let range):
      guard let number = value.integer, range ~= number else {
        return refuse("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return JSON(number)
    case .boolean: return value.bool.map(JSON.bool) ?? refuse("must be true or false")
    case .choice(let words):
      return value.string.flatMap { words.contains($0) ? .string($0) : nil }
        ?? refuse("must be one of \(words.joined(separator: ", "))")
    case .time: return value.string.flatMap(Instant.init(iso8601:)).map { .string($0.iso8601) }
    case .instant:
      return value.string.flatMap(Instant.init(iso8601:)).map { .string($0.iso8601) }
        ?? refuse("must be an ISO 8601 time with its zone")
    case .day:
      return value.string.flatMap { Self.day($0) ?? Instant(iso8601: $0)?.iso8601 }.map(JSON.string)
        ?? refuse("must be a day such as 2026-11-23, or an ISO 8601 time with its zone")
    case .range(let range):
      let ends = value.array ?? value.string.map(Self.ends) ?? []
      guard ends.count == 2, let min = ends[0].integer, let max = ends[1].integer, min <= max, range ~= min,
        range ~= max
      else {
        return refuse("must be min:max, whole numbers from \(range.lowerBound) to \(range.upperBound), the lower first")
      }
      return ["min": JSON(min), "max": JSON(max)]
    case .zone:
      return value.string.flatMap { Zone.isKnown($0) ? .string($0) : nil }
        ?? refuse("must be a time zone such as Asia/Dubai")
    case .cursor:
      let isCursor = { (byte: UInt8) in
        0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte || byte == 0x2D || byte == 0x5F
      }
      guard let text = value.string, 1...400 ~= text.utf8.count, text.utf8.allSatisfy(isCursor) else {
        return refuse("must be a nextCursor of this list")
      }
      return value
    case .document(let form):
      guard let json = value.string == nil ? value : try? JSON(reading: Array((value.string ?? "").utf8)) else {
        return refuse("must be a JSON object")
      }
      return form.check(json, at: path, &faults)
    case .amount:
      guard case .number(let text) = value, Self.isAmount(text) else {
        return refuse("must be an amount of up to twelve digits, with two behind the point at most")
      }
      return value
    case .choices(let words):
      guard let items = value.array, !items.isEmpty, items.allSatisfy({ words.contains($0.string ?? "") }) else {
        return refuse("must be of \(words.joined(separator: ", "))")
      }
      return value
    case .uuids(let max):
      guard let items = value.array, 1...max ~= items.count else {
        return refuse("must be a list of 1 to \(max) UUIDs")
      }
      return .array(
        items.enumerated().compactMap { index, item in
          Form.Rule.uuid.check(item, at: "\(path)[\(index)]", &faults)
        })
    case .texts(let max, let each), .lines(let max, let each):
      let rule: Form.Rule = if case .lines = self { .line(each) } else { .text(each) }
      guard let items = value.array, items.count <= max else { return refuse("must be a list of at most \(max) texts") }
      return .array(
        items.enumerated().compactMap { index, item in
          let count = faults.count
          let good = rule.check(item, at: "\(path)[\(index)]", &faults)
          // A list that replaces another: what is blank in it was meant to be something.
          if case .line = rule, good == nil, faults.count == count { return refuse("must not hold blanks only") }
          return good
        })
    case .object(let maxBytes):
      guard case .object = value else { return refuse("must be an object") }
      return value.bytes.count <= maxBytes ? value : refuse("must not be larger than \(maxBytes) bytes")
    case .form(let form): return form.check(value, at: path, &faults)
    case .forms(let form, let max):
      guard let items = value.array, items.count <= max else {
        return refuse("must be a list of at most \(max) objects")
      }
      return .array(
        items.enumerated().compactMap { index, item in form.check(item, at: "\(path)[\(index)]", &faults) })
    case .key:
      guard let key = value.string, 1...200 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
        return refuse("must have 1 to 200 visible ASCII characters")
      }
      return .string(key)
    }
  }
}
