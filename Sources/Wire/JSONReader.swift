/// An error in a document: the reason and the byte offset. The reader is one file of more than 300 lines because all of
/// it works on one position in the bytes.
package struct JSONError: Error, Equatable {
  package let offset: Int
  package let reason: String
}

extension JSON {
  /// The maximum nesting depth. It bounds the recursion; no form needs more.
  package static let depthLimit = 32

  /// Reads exactly one RFC 8259 document, more strictly than common decoders. It rejects invalid UTF-8, a byte order
  /// mark, a duplicate name in an object, a lone surrogate, NUL (PostgreSQL's text type cannot hold it), nesting deeper
  /// than 32, and numbers that no column can store exactly.
  /// - Parameter repairing: true if U+FFFD replaces what is broken in a string: invalid UTF-8, a lone surrogate, NUL.
  ///   In a member's name these are still errors. Nothing else is repaired.
  package init(reading bytes: [UInt8], repairing: Bool = false) throws(JSONError) {
    let isValid = String(validating: bytes, as: UTF8.self) != nil
    guard isValid || repairing else { throw JSONError(offset: 0, reason: "the text is not valid UTF-8") }
    let bytes = isValid ? bytes : Array(String(decoding: bytes, as: UTF8.self).utf8)
    var reader = JSONReader(bytes: bytes, repairs: repairing, isRepaired: !isValid)
    reader.skipBlanks()
    self = try reader.value(depth: 1)
    reader.skipBlanks()
    if reader.at != bytes.count { throw reader.error("unexpected text after the document") }
  }

  package init(reading text: String) throws(JSONError) {
    try self.init(reading: Array(text.utf8))
  }

  /// Reads JSON that this product has made: the result of a function of the database, the reply of a handler. It may be
  /// nested four times as deep as a request, and its numbers are not limited, so that nothing that was stored makes a
  /// reply unreadable.
  package init(readingReply bytes: [UInt8]) throws(JSONError) {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw JSONError(offset: 0, reason: "the text is not valid UTF-8")
    }
    var reader = JSONReader(bytes: bytes, repairs: false, isRepaired: false)
    // A reply wraps what was stored in a few levels.
    reader.depthLimit = 4 * Self.depthLimit
    reader.limitsNumbers = false
    reader.skipBlanks()
    self = try reader.value(depth: 1)
    reader.skipBlanks()
    if reader.at != bytes.count { throw reader.error("unexpected text after the document") }
  }

  /// Reads a document in which another program quotes what a client has sent: NUL is allowed in strings, so that the
  /// client gets an error for it and not the program. All else is as strict as in a request.
  package init(readingEvent bytes: [UInt8]) throws(JSONError) {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw JSONError(offset: 0, reason: "the text is not valid UTF-8")
    }
    var reader = JSONReader(bytes: bytes, repairs: false, isRepaired: false)
    reader.allowsNUL = true
    reader.skipBlanks()
    self = try reader.value(depth: 1)
    reader.skipBlanks()
    if reader.at != bytes.count { throw reader.error("unexpected text after the document") }
  }

  /// The number of levels of objects and arrays: 0 for a string, 1 for a list of strings.
  package var depth: Int {
    switch self {
    case .array(let items): 1 + (items.map(\.depth).max() ?? 0)
    case .object(let members): 1 + (members.map(\.value.depth).max() ?? 0)
    default: 0
    }
  }

  /// The number of bytes with numbers written out, as the database stores them: `1e99` has a hundred.
  package var storedSize: Int {
    func expansion(_ json: JSON) -> Int {
      switch json {
      case .number(let text):
        guard let mark = text.firstIndex(where: { $0 == "e" || $0 == "E" }) else { return 0 }
        return text[text.index(after: mark)...].split(whereSeparator: { $0 == "+" || $0 == "-" }).first.flatMap {
          Int($0)
        } ?? 0
      case .array(let items): return items.reduce(0) { $0 + expansion($1) }
      case .object(let members): return members.reduce(0) { $0 + expansion($1.value) }
      default: return 0
      }
    }
    return bytes.count + expansion(self)
  }
}

/// A recursive-descent reader over validated UTF-8. `at` is the index of the next byte.
private struct JSONReader {
  let bytes: [UInt8]
  /// True if a broken escape in a string becomes U+FFFD.
  let repairs: Bool
  /// True if U+FFFD may already stand for invalid UTF-8.
  let isRepaired: Bool
  var at = 0
  var depthLimit = JSON.depthLimit
  var limitsNumbers = true
  var allowsNUL = false

  init(bytes: [UInt8], repairs: Bool, isRepaired: Bool) {
    self.bytes = bytes
    self.repairs = repairs
    self.isRepaired = isRepaired
  }

  func error(_ reason: String) -> JSONError { JSONError(offset: at, reason: reason) }

  var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func skipBlanks() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
  }

  mutating func take(_ sign: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: sign) else { return false }
    at += 1
    return true
  }

  mutating func value(depth: Int) throws(JSONError) -> JSON {
    switch next {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard depth <= depthLimit else { throw error("nesting deeper than \(depthLimit)") }
      return bytes[at] == UInt8(ascii: "{") ? try object(depth: depth) : try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string(repairs: repairs))
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case .some(let byte) where byte == UInt8(ascii: "-") || 0x30...0x39 ~= byte: return .number(try number())
    case .none: throw error("unexpected end of input")
    default:
      throw error(
        at == 0 && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? "unexpected byte order mark" : "expected a value")
    }
  }

  mutating func word(_ text: String, _ value: JSON) throws(JSONError) -> JSON {
    guard bytes[at...].starts(with: text.utf8) else { throw error("expected a value") }
    at += text.utf8.count
    return value
  }

  mutating func object(depth: Int) throws(JSONError) -> JSON {
    at += 1
    var members: [JSON.Member] = []
    var names = Names()
    skipBlanks()
    if take("}") { return .object([]) }
    repeat {
      skipBlanks()
      guard next == UInt8(ascii: "\"") else { throw error("expected a member name") }
      let start = at
      let key = try string(repairs: false)
      if isRepaired, key.unicodeScalars.contains("\u{FFFD}") {
        throw JSONError(offset: start, reason: "a member name is not valid UTF-8")
      }
      guard names.insert(key) else {
        throw JSONError(offset: start, reason: "a member name occurs twice in one object")
      }
      skipBlanks()
      guard take(":") else { throw error("expected ':'") }
      skipBlanks()
      members.append(JSON.Member(key, try value(depth: depth + 1)))
      skipBlanks()
    } while take(",")
    guard take("}") else { throw error("expected ',' or '}'") }
    return .object(members)
  }

  mutating func array(depth: Int) throws(JSONError) -> JSON {
    at += 1
    var items: [JSON] = []
    skipBlanks()
    if take("]") { return .array([]) }
    repeat {
      skipBlanks()
      items.append(try value(depth: depth + 1))
      skipBlanks()
    } while take(",")
    guard take("]") else { throw error("expected ',' or ']'") }
    return .array(items)
  }

  mutating func string(repairs: Bool) throws(JSONError) -> String {
    at += 1
    var run = plainRun()
    if take("\"") { return String(decoding: bytes[run], as: UTF8.self) }
    var text: [UInt8] = []
    while true {
      bytes.withUnsafeBufferPointer { text.append(contentsOf: UnsafeBufferPointer(rebasing: $0[run])) }
      if take("\"") { return String(decoding: text, as: UTF8.self) }
      guard let byte = next else { throw error("unterminated string") }
      guard byte >= 0x20 else { throw error("unescaped control character in a string") }
      try escape(into: &text, repairs: repairs)
      run = plainRun()
    }
  }

  /// Returns where the bytes are up to the next one that has a special meaning in a string.
  private mutating func plainRun() -> Range<Int> {
    let start = at
    at = bytes.withUnsafeBufferPointer { bytes in
      bytes[start...].firstIndex { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") || $0 < 0x20 } ?? bytes.count
    }
    return start..<at
  }

  /// Reads an escape, which begins at its backslash, and appends the escaped character in UTF-8.
  mutating func escape(into text: inout [UInt8], repairs: Bool) throws(JSONError) {
    at += 1
    guard let byte = next else { throw error("unterminated string") }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"): text.append(contentsOf: String(Character(try scalar(repairs: repairs))).utf8)
    default: throw error("invalid escape in a string")
    }
  }

  mutating func scalar(repairs: Bool) throws(JSONError) -> Unicode.Scalar {
    let unit = try hexUnit()
    if unit == 0, !allowsNUL {
      if repairs { return "\u{FFFD}" }
      throw error("NUL in a string")
    }
    if let scalar = Unicode.Scalar(UInt32(unit)) { return scalar }
    let end = at
    if 0xD800...0xDBFF ~= unit, take("\\"), take("u") {
      let trail = try hexUnit()
      if 0xDC00...0xDFFF ~= trail,
        let scalar = Unicode.Scalar(0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(trail) - 0xDC00))
      {
        return scalar
      }
    }
    guard repairs else { throw error("unpaired surrogate in a string") }
    // What follows the surrogate is read by itself.
    at = end
    return "\u{FFFD}"
  }

  mutating func hexUnit() throws(JSONError) -> UInt16 {
    guard at + 4 <= bytes.count else { throw error("expected four hexadecimal digits") }
    var unit: UInt16 = 0
    for byte in bytes[at..<at + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw error("expected four hexadecimal digits")
      }
      unit = unit << 4 | UInt16(digit)
    }
    at += 4
    return unit
  }

  /// Reads a number as defined by RFC 8259 §6, at most 150 bytes long. The limits keep numbers cheap to store in a
  /// numeric column.
  mutating func number() throws(JSONError) -> String {
    let start = at
    _ = take("-")
    if !take("0") { try digits() }
    if take(".") { try digits() }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      let exponent = at
      try digits()
      // PostgreSQL writes the number out in full. That longer form must still be accepted when it is read back.
      guard !limitsNumbers || at - exponent <= 2 && at - start <= 40 else { throw error("number out of range") }
    }
    guard !limitsNumbers || at - start <= 150 else { throw error("number with too many digits") }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  mutating func digits() throws(JSONError) {
    let start = at
    while let byte = next, 0x30...0x39 ~= byte { at += 1 }
    if at == start { throw error("expected a digit") }
  }
}

/// The names of one object, compared by bytes: two names that differ only in Unicode form are distinct. Up to 16 names
/// are compared one by one. More are hashed, so the cost of an object with thousands of members stays linear.
private struct Names {
  private static let few = 16
  private var list: [String] = []
  private var set: Set<ByteKey> = []

  /// Adds a name. False if it is already present.
  mutating func insert(_ name: String) -> Bool {
    if list.count == Self.few {
      if set.isEmpty { set = Set(list.map(ByteKey.init)) }
      return set.insert(ByteKey(text: name)).inserted
    }
    if list.contains(where: { $0.hasSameBytes(as: name) }) { return false }
    list.append(name)
    return true
  }
}

private struct ByteKey: Hashable {
  let text: String
  static func == (left: Self, right: Self) -> Bool { left.text.hasSameBytes(as: right.text) }
  func hash(into hasher: inout Hasher) { for byte in text.utf8 { hasher.combine(byte) } }
}
