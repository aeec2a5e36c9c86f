import Glibc
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// Where a listener is: a TCP port or a unix socket.
enum ListeningAddress: Sendable, Equatable {
  case tcp(host: String, port: Int)
  case unix(path: String)

  fileprivate var bound: BindAddress {
    switch self {
    case .tcp(let host, let port): .hostname(host, port: port)
    case .unix(let path): .unixDomainSocket(path: path)
    }
  }

  /// For the log; with the port that the system chose, once there is a channel.
  func text(_ channel: (any Channel)? = nil) -> String {
    switch self {
    case .tcp(let host, let port):
      "http://\(host.contains(":") ? "[\(host)]" : host):\(channel?.localAddress?.port ?? port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// Why nothing can be listened on, in a sentence for the operator.
struct ListeningFault: Error { let reason: String }

/// A listener from its address to its end. Throws `ListeningFault` where the address cannot be had.
struct ListeningService<Setup: ServerChildChannel>: Service {
  let address: ListeningAddress
  let setup: Setup
  /// How many connections it has at a time.
  let connections: Int
  let logger: Logger
  /// Gets the address as it is once it listens.
  let whenListening: @Sendable (String) -> Void

  func run() async throws {
    if case .unix(let path) = address, await Self.isAnswered(path) {
      throw ListeningFault(reason: "\(path) is in use by another program")
    }
    let server = Server(
      childChannelSetup: setup,
      configuration: ServerConfiguration(
        address: address.bound, availableConnectionsDelegate: .maximum(connections, logger: logger)),
      onServerRunning: { channel in whenListening(address.text(channel)) },
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
    do { try await server.run() } catch let error as IOError {
      throw ListeningFault(
        reason: "\(address.text()) cannot be listened on: \(String(cString: strerror(error.errnoCode)))")
    }
    if case .unix(let path) = address { unlink(path) }
  }

  /// Whether somebody listens on a unix socket: the server would take its path away.
  private static func isAnswered(_ path: String) async -> Bool {
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    guard let channel = try? await bootstrap.connect(unixDomainSocketPath: path).get() else { return false }
    try? await channel.close()
    return true
  }
}
