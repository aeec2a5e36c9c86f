/// What is wrong with a document, and at which byte.
package struct JSONFault: Error, Equatable {
  package let offset: Int
  package let reason: String
}

extension JSON {
  /// Nesting beyond this is refused: recursion is bounded, and no form needs more.
  package static let depthLimit = 32

  /// Reads exactly one RFC 8259 document, more strictly than decoders do: bad UTF-8, a byte order mark, a name that
  /// occurs twice in one object, a lone surrogate, a NUL (PostgreSQL's text has none), depth above 32 and numbers that
  /// no column could hold exactly are refused, never repaired.
  package init(reading bytes: [UInt8]) throws(JSONFault) {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw JSONFault(offset: 0, reason: "the text is not valid UTF-8")
    }
    var reader = JSONReader(bytes: bytes)
    reader.skipBlanks()
    self = try reader.value(depth: 1)
    reader.skipBlanks()
    if reader.at != bytes.count { throw reader.fault("text after the document") }
  }

  package init(reading text: String) throws(JSONFault) {
    try self.init(reading: Array(text.utf8))
  }
}

/// A recursive-descent reader over checked UTF-8; `at` is the next byte.
private struct JSONReader {
  let bytes: [UInt8]
  var at = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  func fault(_ reason: String) -> JSONFault { JSONFault(offset: at, reason: reason) }

  var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func skipBlanks() {
    while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
  }

  mutating func take(_ byte: Character) -> Bool {
    guard next == byte.asciiValue else { return false }
    at += 1
    return true
  }

  mutating func value(depth: Int) throws(JSONFault) -> JSON {
    switch next {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard depth <= JSON.depthLimit else { throw fault("nesting is deeper than \(JSON.depthLimit)") }
      return bytes[at] == UInt8(ascii: "{") ? try object(depth: depth) : try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case .some(let byte) where byte == UInt8(ascii: "-") || 0x30...0x39 ~= byte: return .number(try number())
    case .none: throw fault("the document ends too early")
    default: throw fault("a value was expected")
    }
  }

  mutating func word(_ text: String, _ value: JSON) throws(JSONFault) -> JSON {
    guard bytes[at...].starts(with: text.utf8) else { throw fault("a value was expected") }
    at += text.utf8.count
    return value
  }

  mutating func object(depth: Int) throws(JSONFault) -> JSON {
    at += 1
    var members: [JSON.Member] = []
    var seen: Set<ByteKey> = []
    skipBlanks()
    if take("}") { return .object([]) }
    repeat {
      skipBlanks()
      guard next == UInt8(ascii: "\"") else { throw fault("a member name was expected") }
      let start = at
      let key = try string()
      guard seen.insert(ByteKey(text: key)).inserted else {
        throw JSONFault(offset: start, reason: "a member name occurs twice in one object")
      }
      skipBlanks()
      guard take(":") else { throw fault("':' was expected") }
      skipBlanks()
      members.append(JSON.Member(key, try value(depth: depth + 1)))
      skipBlanks()
    } while take(",")
    guard take("}") else { throw fault("',' or '}' was expected") }
    return .object(members)
  }

  mutating func array(depth: Int) throws(JSONFault) -> JSON {
    at += 1
    var items: [JSON] = []
    skipBlanks()
    if take("]") { return .array([]) }
    repeat {
      skipBlanks()
      items.append(try value(depth: depth + 1))
      skipBlanks()
    } while take(",")
    guard take("]") else { throw fault("',' or ']' was expected") }
    return .array(items)
  }

  mutating func string() throws(JSONFault) -> String {
    at += 1
    let start = at
    while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { at += 1 }
    if next == UInt8(ascii: "\"") {
      defer { at += 1 }
      return String(decoding: bytes[start..<at], as: UTF8.self)
    }
    var text = Array(bytes[start..<at])
    while let byte = next {
      at += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text.append(contentsOf: try escape())
      case 0..<0x20:
        at -= 1
        throw fault("a control character stands in a string")
      default: text.append(byte)
      }
    }
    throw fault("a string does not end")
  }

  /// The UTF-8 bytes of the escape whose backslash has been read.
  mutating func escape() throws(JSONFault) -> [UInt8] {
    guard let byte = next else { throw fault("a string does not end") }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"): return Array(String(Character(try scalar())).utf8)
    default: throw fault("an unknown escape stands in a string")
    }
  }

  mutating func scalar() throws(JSONFault) -> Unicode.Scalar {
    let unit = try hexUnit()
    if unit == 0 { throw fault("a NUL stands in a string") }
    if let scalar = Unicode.Scalar(UInt32(unit)) { return scalar }
    guard 0xD800...0xDBFF ~= unit, take("\\"), take("u") else { throw fault("a lone surrogate stands in a string") }
    let trail = try hexUnit()
    guard 0xDC00...0xDFFF ~= trail else { throw fault("a lone surrogate stands in a string") }
    let pair = 0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(trail) - 0xDC00)
    guard let scalar = Unicode.Scalar(pair) else { throw fault("a lone surrogate stands in a string") }
    return scalar
  }

  mutating func hexUnit() throws(JSONFault) -> UInt16 {
    guard at + 4 <= bytes.count else { throw fault("four hexadecimal digits were expected") }
    var unit: UInt16 = 0
    for byte in bytes[at..<at + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw fault("four hexadecimal digits were expected")
      }
      unit = unit << 4 | UInt16(digit)
    }
    at += 4
    return unit
  }

  /// The grammar of RFC 8259 §6, and no more digits than a numeric column can keep for the price of a line.
  mutating func number() throws(JSONFault) -> String {
    let start = at
    _ = take("-")
    if !take("0") { try digits() }
    if take(".") { try digits() }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      let exponent = at
      try digits()
      // Written out, as PostgreSQL does it, the number must still be one that is read.
      guard at - exponent <= 2, at - start <= 40 else { throw fault("a number is out of range") }
    }
    guard at - start <= 150 else { throw fault("a number has too many digits") }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  mutating func digits() throws(JSONFault) {
    let start = at
    while let byte = next, 0x30...0x39 ~= byte { at += 1 }
    if at == start { throw fault("a digit was expected") }
  }
}

/// A name by its bytes: two names that differ only in Unicode form are two names.
private struct ByteKey: Hashable {
  let text: String
  static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }
  func hash(into hasher: inout Hasher) { for byte in text.utf8 { hasher.combine(byte) } }
}
