import Glibc

/// Finds free TCP ports on this machine.
enum FreePort {
  /// Returns the first of the 100 ports of 127.0.0.1 from `port` on that a server can take; `port` if there is none. A
  /// port that nobody listens on can be in use too, by a connection to another program.
  static func near(_ port: Int) -> Int { (port..<port + 100).first { canServe($0) } ?? port }

  /// True if a program listens on the port. `host` must be an IPv4 address.
  static func isAnswering(_ port: Int, host: String = "127.0.0.1") -> Bool { attempt(port, host, connect) }

  private static func canServe(_ port: Int) -> Bool {
    attempt(port, "127.0.0.1") { descriptor, address, size in
      // As servers do: the rest of a closed connection does not count.
      var isOn: Int32 = 1
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isOn, socklen_t(MemoryLayout<Int32>.size))
      return bind(descriptor, address, size) == 0 ? listen(descriptor, 1) : -1
    }
  }

  /// Opens a socket and makes a call with an address. True if the call returns 0.
  private static func attempt(
    _ port: Int, _ host: String, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
    guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return false }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
