/// The path of a request, raw and with each segment percent-decoded once.
package struct RequestPath: Sendable {
  package let raw: String
  package let segments: [(raw: String, decoded: String)]

  /// Parses a path. Throws if two programs could read it differently: if it has characters that `Percent.isAllowed`
  /// refuses, broken escapes or bytes that are not UTF-8, or a segment that is `.` or `..` or contains a slash, a
  /// backslash or a control character.
  package init(_ raw: String) throws(Problem) {
    guard raw.hasPrefix("/"), raw.utf8.allSatisfy(Percent.isAllowed), !raw.utf8.contains(UInt8(ascii: "?")) else {
      throw Problem(.malformedPath)
    }
    self.raw = raw
    segments =
      try raw == "/"
      ? []
      : raw.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        .map { part throws(Problem) in
          guard let decoded = Percent.decode(part), ![".", ".."].contains(decoded),
            !decoded.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0x2F || $0 == 0x5C })
          else { throw Problem(.malformedPath) }
          return (String(part), decoded)
        }
  }
}

/// A request target in origin form or absolute form (RFC 9112 §3.2).
package struct RequestTarget: Sendable {
  package let path: RequestPath
  package let rawQuery: String
  /// Decoded once. The values of a repeated name are joined with `,`.
  package let query: [String: String]
  /// The authority of a target in absolute form, which overrides Host; nil in origin form.
  package let authority: String?

  package init(_ text: String) throws(Problem) {
    var rest = text[...]
    var authority: String?
    for scheme in ["http://", "https://"] where text.first != "/" && text.lowercased().hasPrefix(scheme) {
      rest = rest.dropFirst(scheme.count)
      let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
      authority = String(rest[..<end])
      guard end > rest.startIndex else { throw Problem(.hostRequired) }
      rest = rest[end...]
      if rest.first != "/" { rest = "/" + rest }
    }
    self.authority = authority
    let mark = rest.utf8.firstIndex(of: UInt8(ascii: "?"))
    path = try RequestPath(String(rest[..<(mark ?? rest.endIndex)]))
    rawQuery = mark.map { String(rest[rest.index(after: $0)...]) } ?? ""
    query = try Self.pairs(rawQuery)
  }

  private static func pairs(_ raw: String) throws(Problem) -> [String: String] {
    guard raw.utf8.allSatisfy(Percent.isAllowed) else { throw Problem(.malformedQuery) }
    var pairs: [String: String] = [:]
    for field in raw.split(separator: "&") {
      let equals = field.firstIndex(of: "=")
      let value = equals.map { field[field.index(after: $0)...] } ?? ""
      guard let name = Percent.decode(field[..<(equals ?? field.endIndex)], plusIsBlank: true),
        let value = Percent.decode(value, plusIsBlank: true), !name.utf8.contains(0), !value.utf8.contains(0)
      else { throw Problem(.malformedQuery) }
      pairs[name] = pairs[name].map { "\($0),\(value)" } ?? value
    }
    return pairs
  }
}

/// Percent encoding (RFC 3986 §2.1).
package enum Percent {
  /// True if a byte may occur in a target: visible ASCII without `"`, `#`, `<`, `>` and `\`. RFC 3986 allows fewer
  /// characters, but browsers send `|`, `^` and brackets in queries.
  package static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x22, 0x23, 0x3C, 0x3E, 0x5C: false
    default: 0x21...0x7E ~= byte
    }
  }

  /// Replaces every `%XX` with its byte, once. Nil if an escape is broken or the result is not UTF-8.
  package static func decode(_ text: Substring, plusIsBlank: Bool = false) -> String? {
    if !text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) { return String(text) }
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else { return nil }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsBlank: bytes.append(UInt8(ascii: " "))
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }
}
