import Contract
import Glibc
import Wire

/// LEADPIPE_SCGI: the address where the gateway serves web servers by SCGI. Whoever reaches it chooses the address of
/// the client.
package enum SCGIAddress: Sendable, Equatable {
  case tcp(host: String, port: Int)
  case unix(path: String)

  /// Reads `ADDRESS:PORT`, `[ADDRESS]:PORT` or `unix:/path`. Nil for anything else. An address is one of IPv4 or IPv6;
  /// a socket path has at most 107 bytes.
  package init?(_ text: String) {
    if text.hasPrefix("unix:/"), text.utf8.count <= "unix:".count + 107 {
      self = .unix(path: String(text.dropFirst("unix:".count)))
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = Int(strict: text[text.index(after: colon)...]),
      0...65_535 ~= port, let host = Self.address(text[..<colon])
    else { return nil }
    self = .tcp(host: host, port: port)
  }

  package static let setting = Setting("LEADPIPE_SCGI") { text in
    SCGIAddress(text) == nil
      ? "must be an address and a port such as 127.0.0.1:4001 or [::1]:4001, or unix: and an absolute path of at most 107 bytes"
      : nil
  }

  /// True if only this machine can reach the address.
  package var isLocal: Bool {
    switch self {
    case .unix: true
    case .tcp(let host, _): host == "::1" || host.hasPrefix("127.")
    }
  }

  private static func address(_ text: Substring) -> String? {
    if text.hasPrefix("["), text.hasSuffix("]") {
      let host = String(text.dropFirst().dropLast())
      var address = in6_addr()
      return inet_pton(AF_INET6, host, &address) == 1 ? host : nil
    }
    var address = in_addr()
    return inet_pton(AF_INET, String(text), &address) == 1 ? String(text) : nil
  }
}
