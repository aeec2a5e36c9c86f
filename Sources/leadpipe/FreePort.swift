import Glibc

/// Finds free TCP ports on this machine.
enum FreePort {
  /// Returns the first of the 100 ports from `port` on that no program listens on; `port` if all are in use.
  static func near(_ port: Int) -> Int { (port..<port + 100).first { !isAnswering($0) } ?? port }

  /// True if a program listens on the port. `host` must be an IPv4 address.
  static func isAnswering(_ port: Int, host: String = "127.0.0.1") -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
    guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return false }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
