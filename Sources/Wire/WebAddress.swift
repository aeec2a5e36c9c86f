/// An absolute http or https address, in the subset of RFC 3986 that every parser reads the same way: an ASCII host, no
/// user, no spaces, no backslash. Addresses that two parsers could read differently are rejected. At most 2,000 bytes.
package struct WebAddress: Sendable, Equatable {
  /// The address in the form to send: non-ASCII bytes after the host are percent-encoded.
  package let text: String
  package let isSecure: Bool
  /// In lower case. An IPv6 address has no brackets.
  package let host: String

  package init?(_ text: String) { self.init(text, maxBytes: 2000) }

  private init?(_ text: String, maxBytes: Int) {
    let bytes = Array(text.utf8)
    let scheme = text.prefix { $0 != ":" }.lowercased()
    guard scheme == "http" || scheme == "https", bytes.count <= maxBytes,
      bytes.dropFirst(scheme.utf8.count).starts(with: "://".utf8)
    else { return nil }
    let rest = bytes.dropFirst(scheme.utf8.count + 3)
    let authority = rest.prefix { !"/?#".utf8.contains($0) }
    guard let host = Self.host(ofAuthority: Array(authority)) else { return nil }
    var encoded = Array("\(scheme)://".utf8) + authority
    for byte in rest.dropFirst(authority.count) {
      switch byte {
      case 0...0x20, 0x7F, UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"),
        UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
        return nil
      case 0x80...: encoded += "%\(String(byte, radix: 16, uppercase: true))".utf8
      default: encoded.append(byte)
      }
    }
    self.text = String(decoding: encoded, as: UTF8.self)
    isSecure = scheme == "https"
    self.host = host
  }

  /// Reads what a browser reports or a person copies, as the WHATWG URL standard does: line feeds and tabs are removed,
  /// and characters that a URL must not contain are percent-encoded after the host (`?utm_campaign=Dubai|Villas`). A
  /// backslash in the path becomes a slash. The scheme and the host stay strict.
  package static func encoding(_ text: String) -> WebAddress? {
    let bytes = text.utf8.filter { ![0x09, 0x0A, 0x0D].contains($0) }
    let isEnd = { (byte: UInt8) in "/?#".utf8.contains(byte) }
    guard let scheme = bytes.firstIndex(of: UInt8(ascii: ":")), bytes.count <= 2000,
      bytes[(scheme + 1)...].starts(with: "//".utf8)
    else { return nil }
    let host = bytes[(scheme + 3)...].prefix { !isEnd($0) }
    var encoded = Array(bytes[..<host.endIndex])
    var isInPath = true
    for byte in bytes[host.endIndex...] {
      switch byte {
      case UInt8(ascii: "\\") where isInPath: encoded.append(UInt8(ascii: "/"))
      case 0...0x20, 0x7F, UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"),
        UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
        encoded += "%\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))".utf8
      default:
        if byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") { isInPath = false }
        encoded.append(byte)
      }
    }
    return WebAddress(String(decoding: encoded, as: UTF8.self), maxBytes: 6000)
  }

  /// True if the host is this machine (127.0.0.0/8 in full dotted form, ::1, localhost): requests never leave it.
  package var isLoopback: Bool { Self.isLoopback(host) }

  package static func isLoopback(_ host: String) -> Bool {
    if host == "localhost" || host == "::1" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { Int(strict: $0).map { 0...255 ~= $0 } == true }
  }

  /// True for a host name, an IPv4 address, or an IPv6 address without brackets.
  package static func isHost(_ host: String) -> Bool {
    let bytes = Array(host.utf8)
    if bytes.contains(UInt8(ascii: ":")) {
      return 2...45 ~= bytes.count
        && bytes.allSatisfy {
          0x30...0x3A ~= $0 || 0x61...0x66 ~= $0 || 0x41...0x46 ~= $0 || $0 == UInt8(ascii: ".")
        }
    }
    let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard 1...253 ~= bytes.count, labels.allSatisfy(isLabel) else { return false }
    // If the last label is a number, browsers read the host as an IPv4 address, in several notations (WHATWG URL). Only
    // the usual notation is accepted.
    guard let last = labels.last, 0x30...0x39 ~= last[last.startIndex] else { return true }
    return labels.count == 4
      && labels.allSatisfy { Int(strict: String(decoding: $0, as: UTF8.self)).map((0...255).contains) == true }
  }

  /// True for letters, digits and inner hyphens, up to 63 (RFC 1123 §2.1). Underscores are allowed too, because some
  /// networks use them.
  private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
    1...63 ~= label.count && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
      && label.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || $0 == UInt8(ascii: "-")
          || $0 == UInt8(ascii: "_")
      }
  }

  private static func host(ofAuthority authority: [UInt8]) -> String? {
    var host = authority[...]
    var port = authority[authority.endIndex...]
    if authority.first == UInt8(ascii: "[") {
      guard let end = authority.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      host = authority[1..<end]
      port = authority[(end + 1)...]
      guard host.contains(UInt8(ascii: ":")) else { return nil }
    } else if let colon = authority.firstIndex(of: UInt8(ascii: ":")) {
      host = authority[..<colon]
      port = authority[colon...]
    }
    if !port.isEmpty {
      guard port.first == UInt8(ascii: ":"),
        let number = Int(strict: String(decoding: port.dropFirst(), as: UTF8.self)), 1...65_535 ~= number
      else { return nil }
    }
    let text = String(decoding: host, as: UTF8.self)
    return isHost(text) ? text.lowercased() : nil
  }
}
