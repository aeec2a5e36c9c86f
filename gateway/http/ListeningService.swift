import Glibc
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// The address of a listener: a TCP port or a unix socket.
enum ListeningAddress: Sendable, Equatable {
  case tcp(host: String, port: Int)
  case unix(path: String)

  fileprivate var bound: BindAddress {
    switch self {
    case .tcp(let host, let port): .hostname(host, port: port)
    case .unix(let path): .unixDomainSocket(path: path)
    }
  }

  /// For the log; with a channel, the port is the one that the system chose.
  func text(_ channel: (any Channel)? = nil) -> String {
    switch self {
    case .tcp(let host, let port):
      "http://\(host.contains(":") ? "[\(host)]" : host):\(channel?.localAddress?.port ?? port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// Why the gateway cannot listen on an address.
struct ListeningError: Error { let reason: String }

/// Runs a listener. Throws `ListeningError` where it cannot listen on its address.
struct ListeningService<Setup: ServerChildChannel>: Service {
  let address: ListeningAddress
  let setup: Setup
  /// How many connections it takes at a time.
  let connections: Int
  let logger: Logger
  /// Called with the address when it listens.
  let whenListening: @Sendable (String) -> Void

  func run() async throws {
    if case .unix(let path) = address, await Self.isAnswered(path) {
      throw ListeningError(reason: "\(path) is in use by another program")
    }
    let server = Server(
      childChannelSetup: setup,
      configuration: ServerConfiguration(
        address: address.bound, availableConnectionsDelegate: .maximum(connections, logger: logger)),
      onServerRunning: { channel in whenListening(address.text(channel)) },
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
    do { try await server.run() } catch let error as IOError {
      throw ListeningError(
        reason: "\(address.text()) cannot be listened on: \(String(cString: strerror(error.errnoCode)))")
    }
    if case .unix(let path) = address { unlink(path) }
  }

  /// Whether another program listens on a unix socket, whose path the server would otherwise take over.
  private static func isAnswered(_ path: String) async -> Bool {
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    guard let channel = try? await bootstrap.connect(unixDomainSocketPath: path).get() else { return false }
    try? await channel.close()
    return true
  }
}
