import Wire

/// An email address with an optional name (RFC 5322 §3.4), in a strict subset that all servers and libraries read in
/// the same way: no quotes, comments, spaces or routes in the address, ASCII only.
package struct Mailbox: Sendable, Equatable {
  /// Empty if there is none. Contains no control characters.
  package let name: String
  package let address: String
  /// The part after the @.
  package let domain: String

  /// Parses `a@b.example`. A domain without a dot is accepted only if `localAllowed`, for private networks.
  package init?(address: String, localAllowed: Bool = false) {
    self.init(name: "", address: address, localAllowed: localAllowed)
  }

  /// Parses `Name <a@b.example>` or `a@b.example`. The name may be in double quotes.
  package init?(_ text: String) {
    guard text.utf8.last == UInt8(ascii: ">"), let open = text.utf8.lastIndex(of: UInt8(ascii: "<")) else {
      self.init(address: text, localAllowed: true)
      return
    }
    var name = text[..<open].drop { $0 == " " }
    while name.last == " " { name.removeLast() }
    if name.count >= 2, name.first == "\"", name.last == "\"" { name = name.dropFirst().dropLast() }
    let isClean = name.unicodeScalars.allSatisfy { scalar in
      scalar.properties.generalCategory != .control && !"<>\"\\".unicodeScalars.contains(scalar)
        && scalar != "\u{2028}" && scalar != "\u{2029}"
    }
    guard isClean, name.utf8.count <= 200 else { return nil }
    self.init(name: String(name), address: String(text[text.utf8.index(after: open)...].dropLast()), localAllowed: true)
  }

  private init?(name: String, address: String, localAllowed: Bool) {
    let parts = address.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
    guard parts.count == 2, address.utf8.count <= 254, Self.isLocalPart(Array(parts[0])) else { return nil }
    let domain = String(Substring(parts[1]))
    guard WebAddress.isHost(domain), !domain.utf8.contains(UInt8(ascii: ":")),
      localAllowed || domain.utf8.contains(UInt8(ascii: "."))
    else { return nil }
    self.name = name
    self.address = address
    self.domain = domain
  }

  /// True for a dot-atom (RFC 5322 §3.2.3) of at most 64 bytes.
  private static func isLocalPart(_ bytes: [UInt8]) -> Bool {
    1...64 ~= bytes.count && bytes.first != UInt8(ascii: ".") && bytes.last != UInt8(ascii: ".")
      && !zip(bytes, bytes.dropFirst()).contains { $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".") }
      && bytes.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "!#$%&'*+-/=?^_`{|}~.".utf8.contains($0)
      }
  }

  /// Returns the mailbox in the form for a header. The first `column` characters of the line are taken.
  func header(column: Int) -> String {
    name.isEmpty ? address : "\(EncodedWord.encode(name, column: column)) <\(address)>"
  }
}
