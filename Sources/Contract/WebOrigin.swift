/// A web origin as browsers serialise it (RFC 6454 §6.2): `https://example.com`, `http://localhost:3000`. Two origins
/// are equal if their bytes are equal.
package struct WebOrigin: Sendable, Equatable {
  package let text: String

  /// Accepts only what a browser could send: http or https, a host in lower-case ASCII or an IPv6 address in brackets,
  /// and a port only if it is not the scheme's default. No path, spaces or trailing dot.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "http" || parts[0] == "https", parts[1].hasPrefix("//") else { return nil }
    let authority = Array(parts[1].utf8.dropFirst(2))
    let host: ArraySlice<UInt8>
    if authority.first == UInt8(ascii: "[") {
      host = authority.prefix { $0 != UInt8(ascii: "]") } + [UInt8(ascii: "]")]
      let inner = host.dropFirst().dropLast()
      guard inner.contains(UInt8(ascii: ":")), inner.allSatisfy(Self.isAddress), authority.starts(with: host) else {
        return nil
      }
    } else {
      host = authority.prefix { $0 != UInt8(ascii: ":") }
      let labels = host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
      guard host.count <= 253, labels.allSatisfy({ 1...63 ~= $0.count && $0.allSatisfy(Self.isLabel) }) else {
        return nil
      }
    }
    guard Self.isPort(authority.dropFirst(host.count), standard: parts[0] == "http" ? "80" : "443") else { return nil }
    self.text = text
  }

  /// The origin of an http or https address: its scheme, host and port in lower case.
  package init?(ofAddress address: String) {
    let scheme = address.prefix { $0 != ":" }.lowercased()
    let rest = address.utf8.dropFirst(scheme.utf8.count)
    guard rest.starts(with: "://".utf8), let authority = String(rest.dropFirst(3).prefix { !"/?#".utf8.contains($0) })
    else { return nil }
    let standard = scheme == "http" ? ":80" : ":443"
    self.init(
      "\(scheme)://"
        + (authority.hasSuffix(standard) ? authority.dropLast(standard.count) : authority[...]).lowercased())
  }

  package static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

  /// Parses a comma-separated list of origins. Nil if any item is invalid.
  package static func list(_ text: String) -> [WebOrigin]? {
    let items = items(text)
    let origins = items.compactMap { $0 }
    return origins.count == items.count ? origins : nil
  }

  /// Parses each item of a list. Nil for an invalid one.
  fileprivate static func items(_ text: String) -> [WebOrigin?] {
    text.split(separator: ",", omittingEmptySubsequences: false).map { item in
      WebOrigin(String(item.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()))
    }
  }

  private static func isLabel(_ byte: UInt8) -> Bool {
    0x30...0x39 ~= byte || 0x61...0x7A ~= byte || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
  }

  private static func isAddress(_ byte: UInt8) -> Bool {
    0x30...0x3A ~= byte || 0x61...0x66 ~= byte || byte == UInt8(ascii: ".")
  }

  /// True for an empty string, or a colon and a port from 1 to 65535 that is not the scheme's default.
  private static func isPort(_ bytes: ArraySlice<UInt8>, standard: String) -> Bool {
    guard let colon = bytes.first else { return true }
    let digits = bytes.dropFirst()
    guard colon == UInt8(ascii: ":"), 1...5 ~= digits.count, digits.first != 0x30,
      digits.allSatisfy({ 0x30...0x39 ~= $0 }), !digits.elementsEqual(standard.utf8)
    else { return false }
    return digits.reduce(0) { $0 * 10 + Int($1) - 0x30 } <= 65_535
  }
}

extension Setting {
  /// Origins, in addition to that of FRONTEND_URL, that may read replies in a browser.
  package static let allowedOrigins = Setting("ALLOWED_ORIGINS") { list in
    WebOrigin.items(list).firstIndex(of: nil).map { index in
      "must be origins such as https://example.com in lower case, separated by commas, without a path, a slash at the end "
        + "and the scheme's own port; number \(index + 1) in the list is not one"
    }
  }

  /// The address of the website.
  package static let frontendURL = Setting("FRONTEND_URL") { address in
    WebOrigin(ofAddress: address) == nil ? "must be an http or https URL" : nil
  }
}
