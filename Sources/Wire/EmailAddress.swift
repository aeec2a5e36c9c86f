/// An email address in the commonly used subset of RFC 5321: an ASCII dot-string before the `@` and a domain of at
/// least two labels after it. An accepted address cannot inject a second header or recipient.
package struct EmailAddress: Sendable, Hashable {
  /// The address as given, with the domain in lower case.
  package let text: String

  package init?(_ text: String) {
    // Bytes, because Unicode's rules for characters make the same checks ten times as long. ASCII only, before
    // lower-casing: some non-ASCII letters become ASCII in lower case, which would yield a different address.
    let bytes = Array(text.utf8)
    guard bytes.count <= 254, bytes.allSatisfy({ $0 < 0x80 }), let at = bytes.firstIndex(of: UInt8(ascii: "@")) else {
      return nil
    }
    let (local, domain) = (bytes[..<at], bytes[(at + 1)...].map(Self.lowercased))
    let dot = UInt8(ascii: ".")
    let labels = domain.split(separator: dot, omittingEmptySubsequences: false)
    guard 1...64 ~= local.count, local.split(separator: dot, omittingEmptySubsequences: false).allSatisfy(Self.isAtom),
      !Self.hasEncodedWord(local), labels.count >= 2, labels.allSatisfy(Self.isLabel), let top = labels.last,
      top.count >= 2, top.starts(with: "xn--".utf8) || top.allSatisfy({ 0x61...0x7A ~= $0 })
    else { return nil }
    self.text = String(decoding: local + [UInt8(ascii: "@")] + domain, as: UTF8.self)
  }

  private static func isAtom(_ bytes: ArraySlice<UInt8>) -> Bool { !bytes.isEmpty && bytes.allSatisfy(isAtomByte) }

  /// All printable characters but spaces, quotes and the signs with a meaning in an address.
  private static func isAtomByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "!"), 0x23...0x27, UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"),
      UInt8(ascii: "="), UInt8(ascii: "?"), 0x5E...0x60, 0x7B...0x7E:
      true
    default: isAlphanumeric(byte)
    }
  }

  /// True if `=?` is in it, which begins an encoded word (RFC 2047): in a header, a mail reader would decode such an
  /// address to something else.
  private static func hasEncodedWord(_ bytes: ArraySlice<UInt8>) -> Bool {
    zip(bytes, bytes.dropFirst()).contains { $0 == UInt8(ascii: "=") && $1 == UInt8(ascii: "?") }
  }

  private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
    1...63 ~= label.count && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
      && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
  }

  private static func lowercased(_ byte: UInt8) -> UInt8 { 0x41...0x5A ~= byte ? byte | 0x20 : byte }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte
  }
}
