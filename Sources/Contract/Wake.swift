import Glibc
import Synchronization
import Wire

/// Wakes the worker with one datagram to the socket named by LEADPIPE_WAKE. A lost datagram does no harm, because the
/// worker also polls.
package struct Wake: Sendable {
  package static let setting = Setting("LEADPIPE_WAKE", leadsTo: .unixSocket) { path in
    path.hasPrefix("/") && path.utf8.count <= 107 ? nil : "must be an absolute path of at most 107 bytes"
  }

  private let address: sockaddr_un?
  private let socket = WakingSocket()

  package init(_ settings: Settings) { address = settings["LEADPIPE_WAKE"].map(unixAddress) }

  /// Never blocks. A full or missing socket is ignored. The path is looked up each time, so a worker that has started
  /// again is found.
  package func send() {
    guard var address else { return }
    socket.use { socket in
      _ = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(socket, "w", 1, Int32(MSG_DONTWAIT), $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
    }
  }
}

/// A datagram socket that is opened when it is first used, and then kept: to open and close one for each lead takes
/// longer than to send.
private final class WakingSocket: Sendable {
  private let descriptor = Mutex<Int32>(-1)

  deinit { descriptor.withLock { if $0 >= 0 { close($0) } } }

  func use(_ body: (Int32) -> Void) {
    descriptor.withLock { descriptor in
      if descriptor < 0 {
        descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      }
      if descriptor >= 0 { body(descriptor) }
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
