/// A JSON value (RFC 8259). A number keeps its original text, so nothing is rounded between the wire and the database.
/// An object keeps the order of its members.
package enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(String)
  case string(String)
  case array([JSON])
  case object([Member])

  /// A name and its value in an object.
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
  /// The value of the member `key`, whose name is compared byte for byte. Nil if this is not an object or has no such
  /// member.
  package subscript(key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key.hasSameBytes(as: key) }?.value
  }

  /// The time of an ISO 8601 text. Nil for every other value.
  package var instant: Instant? { string.flatMap(Instant.init(iso8601:)) }

  /// The value of a string. Nil for every other kind.
  package var string: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  /// The value of a whole number written with digits only and within Int's range. Nil for everything else, including
  /// `-0`, `1.0` and `1e2`.
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

  /// Returns a copy with `key` set to `value`. An existing member is replaced in place; a new one is appended. Setting
  /// `null` stores a null; it does not remove the member.
  package func setting(_ key: String, _ value: JSON) -> JSON {
    var members = self.members ?? []
    if let index = members.firstIndex(where: { $0.key.hasSameBytes(as: key) }) {
      members[index].value = value
    } else {
      members.append(Member(key, value))
    }
    return .object(members)
  }

  /// Returns a copy without the member `key`.
  package func removing(_ key: String) -> JSON {
    .object((members ?? []).filter { !$0.key.hasSameBytes(as: key) })
  }

  /// A copy without the members whose value is null.
  package var withoutNulls: JSON { .object((members ?? []).filter { !$0.value.isNull }) }

  /// A string, or null if `text` is nil.
  package init(_ text: String?) { self = text.map(JSON.string) ?? .null }

  /// A whole number, or null if `number` is nil.
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
  /// Parses a whole number in ASCII digits with an optional leading minus. Nil for a plus sign, a leading zero, `-0` or
  /// whitespace. Use it for all outside input: `Int(_: String)` accepts a plus sign, leading zeros and `-0`.
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
  /// True if both strings have the same bytes. `==` also treats two Unicode forms of the same text as equal.
  package func hasSameBytes(as other: String) -> Bool {
    // `==` is the faster test, and strings that it finds different do not have the same bytes.
    utf8.count == other.utf8.count && self == other && utf8.elementsEqual(other.utf8)
  }
}
