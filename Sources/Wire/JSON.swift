/// A JSON value as RFC 8259 writes it. A number keeps its own text, so nothing is rounded between the wire and the
/// database, and an object keeps the order of its members.
package enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(String)
  case string(String)
  case array([JSON])
  case object([Member])

  /// One name and its value inside an object.
  package struct Member: Sendable, Equatable {
    package var key: String
    package var value: JSON

    package init(_ key: String, _ value: JSON) {
      self.key = key
      self.value = value
    }
  }
}

extension JSON {
  /// The value of the member `key`, compared byte for byte; nil when this is no object or has no such member.
  package subscript(key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key.hasSameBytes(as: key) }?.value
  }

  /// The text of a string; nil for every other kind.
  package var string: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  /// A whole number written with digits only (`-0`, `1.0` and `1e2` are none), within Int's range.
  package var integer: Int? {
    guard case .number(let text) = self else { return nil }
    return Int(strict: text)
  }

  package var bool: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }

  package var array: [JSON]? {
    if case .array(let items) = self { return items }
    return nil
  }

  package var members: [Member]? {
    if case .object(let members) = self { return members }
    return nil
  }

  package var isNull: Bool { if case .null = self { true } else { false } }

  /// The same object with `key` set to `value`, replaced in place or added at the end; `null` removes nothing.
  package func setting(_ key: String, _ value: JSON) -> JSON {
    var members = self.members ?? []
    if let index = members.firstIndex(where: { $0.key.hasSameBytes(as: key) }) {
      members[index].value = value
    } else {
      members.append(Member(key, value))
    }
    return .object(members)
  }

  /// The same object without the member `key`.
  package func removing(_ key: String) -> JSON {
    .object((members ?? []).filter { !$0.key.hasSameBytes(as: key) })
  }

  /// The same object without the members that are null: what is absent is left out.
  package var withoutNulls: JSON { .object((members ?? []).filter { !$0.value.isNull }) }

  /// A string, or null where there is none.
  package init(_ text: String?) { self = text.map(JSON.string) ?? .null }

  /// A whole number, or null where there is none.
  package init(_ number: Int?) { self = number.map { .number(String($0)) } ?? .null }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(integerLiteral value: Int) { self = .number(String(value)) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(arrayLiteral elements: JSON...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSON)...) { self = .object(elements.map { Member($0.0, $0.1) }) }
  package init(nilLiteral: ()) { self = .null }
}

extension Int {
  /// A whole number in ASCII digits with at most a leading minus: no plus, no leading zero, no `-0`, no blank.
  /// `Int(_: String)` accepts all of these, so input from outside never meets it.
  package init?(strict text: some StringProtocol) {
    var digits = text.utf8[...]
    let negative = digits.first == UInt8(ascii: "-")
    if negative { digits = digits.dropFirst() }
    guard let first = digits.first, digits.count <= 19, digits.allSatisfy({ 0x30...0x39 ~= $0 }),
      first != 0x30 || (digits.count == 1 && !negative)
    else { return nil }
    guard let value = Int(String(text)) else { return nil }
    self = value
  }
}

extension String {
  /// Equal byte for byte; `==` also takes two Unicode forms of one text for equal.
  package func hasSameBytes(as other: String) -> Bool {
    utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
  }
}
