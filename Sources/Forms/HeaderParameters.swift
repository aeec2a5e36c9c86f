/// A header value with parameters (RFC 9110 §5.6.6): `form-data; name="email"; filename="a.txt"`. Of a repeated parameter
/// the first counts.
package struct HeaderParameters: Sendable {
  /// The text before the first semicolon, without surrounding blanks.
  package let value: String
  private var parameters: [(name: String, value: String)] = []

  package init(_ header: String) { self.init(Array(header.utf8)[...]) }

  init(_ header: ArraySlice<UInt8>) {
    var rest = header
    value = Self.text(Self.take(from: &rest) { $0 != 0x3B })
    while rest.popFirst() != nil {
      let name = Self.text(Self.take(from: &rest) { $0 != 0x3D && $0 != 0x3B }).lowercased()
      guard rest.first == 0x3D else { continue }
      _ = rest.popFirst()
      _ = Self.take(from: &rest) { $0 == 0x20 || $0 == 0x09 }
      let content = rest.first == 0x22 ? Self.quoted(&rest) : Self.text(Self.take(from: &rest) { $0 != 0x3B })
      // What follows a quoted string up to the next semicolon means nothing.
      _ = Self.take(from: &rest) { $0 != 0x3B }
      if !name.isEmpty { parameters.append((name, content)) }
    }
  }

  /// The name must be in lower case.
  package subscript(name: String) -> String? { parameters.first { $0.name == name }?.value }

  private static func take(from rest: inout ArraySlice<UInt8>, while isTaken: (UInt8) -> Bool) -> ArraySlice<UInt8> {
    let taken = rest.prefix(while: isTaken)
    rest = rest.dropFirst(taken.count)
    return taken
  }

  /// Reads a quoted string. A backslash escapes only a quotation mark or a backslash: old browsers send the path of a
  /// file with single ones.
  private static func quoted(_ rest: inout ArraySlice<UInt8>) -> String {
    _ = rest.popFirst()
    var bytes: [UInt8] = []
    while let byte = rest.popFirst(), byte != 0x22 {
      if byte == 0x5C, let next = rest.first, next == 0x22 || next == 0x5C {
        bytes.append(next)
        _ = rest.popFirst()
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    let start = bytes.drop(while: isBlank)
    return String(decoding: start.prefix(start.count - start.reversed().prefix(while: isBlank).count), as: UTF8.self)
  }
}
