import Wire

/// A mail address with an optional name (RFC 5322 §3.4), in the strict subset that no server and no library reads in
/// two ways: no quotes, comments, blanks or routes in the address, ASCII only.
package struct Mailbox: Sendable, Equatable {
  /// Empty where there is none. Never with control characters.
  package let name: String
  package let address: String
  /// The part behind the @.
  package let domain: String

  /// `a@b.example` alone. Without a dot in the domain only when `localAllowed`: on networks of one's own.
  package init?(address: String, localAllowed: Bool = false) {
    self.init(name: "", address: address, localAllowed: localAllowed)
  }

  /// `Name <a@b.example>` or `a@b.example`; the name may stand in double quotes.
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

  /// A dot-atom (RFC 5322 §3.2.3) of at most 64 bytes.
  private static func isLocalPart(_ bytes: [UInt8]) -> Bool {
    1...64 ~= bytes.count && bytes.first != UInt8(ascii: ".") && bytes.last != UInt8(ascii: ".")
      && !zip(bytes, bytes.dropFirst()).contains { $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".") }
      && bytes.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "!#$%&'*+-/=?^_`{|}~.".utf8.contains($0)
      }
  }

  /// As a header writes it; `column` is how much of the line is taken.
  func header(column: Int) -> String {
    name.isEmpty ? address : "\(EncodedWord.encode(name, column: column)) <\(address)>"
  }
}
