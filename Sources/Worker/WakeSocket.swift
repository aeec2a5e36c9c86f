import Contract
import Glibc

/// The datagram socket on which handlers wake the worker after a commit.
final class WakeSocket {
  let descriptor: Int32
  private let path: String

  /// Binds the path, and replaces a socket that a killed worker left there. Nil if the path cannot be bound.
  init?(path: String) {
    descriptor = socket(
      AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    self.path = path
    unlink(path)
    var address = unixAddress(path)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0 else {
      close(descriptor)
      return nil
    }
  }

  deinit {
    close(descriptor)
    unlink(path)
  }

  /// Reads all datagrams that have arrived. Several mean the same as one.
  func drain() {
    var buffer: [UInt8] = [0, 0]
    while recv(descriptor, &buffer, 2, 0) >= 0 {}
  }
}
