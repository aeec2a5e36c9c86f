/// An email address in the commonly used subset of RFC 5321: an ASCII dot-string before the `@` and a domain of at
/// least two labels after it. An accepted address cannot inject a second header or recipient.
package struct EmailAddress: Sendable, Hashable {
  /// The address as given, with the domain in lower case.
  package let text: String

  package init?(_ text: String) {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    // `=?` begins an encoded word (RFC 2047): in a header, a mail reader would decode such an address to something
    // else.
    guard parts.count == 2, !parts[0].contains("=?"), text.utf8.count <= 254, 1...64 ~= parts[0].utf8.count else {
      return nil
    }
    // Check this before lower-casing: some non-ASCII letters become ASCII in lower case, which would yield a different
    // address.
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
    let atoms = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let labels = parts[1].lowercased().split(separator: ".", omittingEmptySubsequences: false)
    guard atoms.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(Self.isAtomByte) }), labels.count >= 2,
      labels.allSatisfy(Self.isLabel), let top = labels.last, top.utf8.count >= 2,
      top.hasPrefix("xn--") || top.utf8.allSatisfy({ 0x61...0x7A ~= $0 })
    else { return nil }
    self.text = parts[0] + "@" + parts[1].lowercased()
  }

  private static func isAtomByte(_ byte: UInt8) -> Bool {
    isAlphanumeric(byte) || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
  }

  private static func isLabel(_ label: Substring) -> Bool {
    1...63 ~= label.utf8.count && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
      && label.first != "-" && label.last != "-"
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte
  }
}
