/// A mail address in the part of RFC 5321's grammar that is in use: a dot-string of ASCII before the `@`, and a domain
/// of two or more labels after it. What fits cannot carry a second header or recipient.
package struct EmailAddress: Sendable, Hashable {
  /// As it was written, with the domain in lower case.
  package let text: String

  package init?(_ text: String) {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    // `=?` begins an encoded word (RFC 2047): in a header such an address would be read as something else.
    guard parts.count == 2, !parts[0].contains("=?"), text.utf8.count <= 254, 1...64 ~= parts[0].utf8.count else {
      return nil
    }
    // Before the letters are made small: of what is no ASCII some become ASCII then, and another address of it.
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
