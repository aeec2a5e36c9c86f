import Contract
import Glibc
import Wire

/// LEADPIPE_OPERATIONS: the address where the gateway serves its health and metrics to the operator. It is reachable
/// only from this machine.
package enum OperationsAddress: Sendable, Equatable {
  case tcp(host: String, port: Int)
  case unix(path: String)

  /// Reads `127.0.0.1:PORT`, `[::1]:PORT` or `unix:/path`. Nil for anything else. A socket path has at most 107 bytes.
  package init?(_ text: String) {
    if text.hasPrefix("unix:/"), text.utf8.count <= "unix:".count + 107 {
      self = .unix(path: String(text.dropFirst("unix:".count)))
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = Int(strict: text[text.index(after: colon)...]),
      0...65_535 ~= port, let host = Self.loopback(text[..<colon])
    else { return nil }
    self = .tcp(host: host, port: port)
  }

  package static let setting = Setting("LEADPIPE_OPERATIONS") { text in
    OperationsAddress(text) == nil
      ? "must be 127.0.0.1:PORT, [::1]:PORT, or unix: and an absolute path of at most 107 bytes" : nil
  }

  private static func loopback(_ host: Substring) -> String? {
    if host == "[::1]" { return "::1" }
    var address = in_addr()
    guard inet_pton(AF_INET, String(host), &address) == 1 else { return nil }
    return UInt32(bigEndian: address.s_addr) >> 24 == 127 ? String(host) : nil
  }
}
