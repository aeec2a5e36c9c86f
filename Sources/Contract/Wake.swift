import Glibc
import Wire

/// Wakes the worker with one datagram to the socket named by LEADPIPE_WAKE. A lost datagram does no harm, because the
/// worker also polls.
package struct Wake: Sendable {
  package static let setting = Setting("LEADPIPE_WAKE", leadsTo: .unixSocket) { path in
    path.hasPrefix("/") && path.utf8.count <= 107 ? nil : "must be an absolute path of at most 107 bytes"
  }

  private let path: String?

  package init(_ settings: Settings) { path = settings["LEADPIPE_WAKE"] }

  /// Never blocks. A full or missing socket is ignored.
  package func send() {
    guard let path else { return }
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else { return }
    defer { close(socket) }
    var address = unixAddress(path)
    _ = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(socket, "w", 1, Int32(MSG_DONTWAIT), $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}

/// Returns the address of a Unix socket. A path longer than 107 bytes is truncated, so check its length first.
package func unixAddress(_ path: String) -> sockaddr_un {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
  return address
}
