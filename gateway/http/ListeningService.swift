import Contract
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

  /// The address as text for the log. If a channel is given, the port is the one that the system chose.
  func text(scheme: String = "http", _ channel: (any Channel)? = nil) -> String {
    switch self {
    case .tcp(let host, let port):
      "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(channel?.localAddress?.port ?? port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// Why the gateway cannot listen on an address.
struct ListeningError: Error { let reason: String }

/// Runs a listener that the gateway can do without. If it cannot listen, it logs the reason once and tries again every
/// two seconds: a folder may have been deleted, and may be made again.
struct OptionalService<Listener: Service>: Service {
  let service: Listener
  let name: String
  let log: Log

  func run() async throws {
    var reported: String?
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      do { return try await service.run() } catch {
        let reason = (error as? ListeningError)?.reason ?? "\(error)"
        if reason != reported {
          log.error("A listener is left out, all others work", ["listener": name, "reason": reason])
        }
        reported = reason
      }
      try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(2)) }
    }
  }
}

/// Runs a listener. Throws `ListeningError` if it cannot listen on its address.
struct ListeningService<Setup: ServerChildChannel>: Service {
  let address: ListeningAddress
  var scheme = "http"
  let setup: Setup
  /// The maximum number of open connections.
  let connections: Int
  let logger: Logger
  /// Called with the address when the listener is ready.
  let whenListening: @Sendable (String) -> Void

  func run() async throws {
    if case .unix(let path) = address, await Self.isAnswered(path) {
      throw ListeningError(reason: "\(path) is in use by another program")
    }
    let server = Server(
      childChannelSetup: setup,
      configuration: ServerConfiguration(
        address: address.bound, availableConnectionsDelegate: .maximum(connections, logger: logger)),
      onServerRunning: { channel in whenListening(address.text(scheme: scheme, channel)) },
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
    do { try await server.run() } catch let error as IOError {
      throw ListeningError(
        reason: "cannot listen on \(address.text(scheme: scheme)): \(String(cString: strerror(error.errnoCode)))")
    }
    if case .unix(let path) = address { unlink(path) }
  }

  /// True if another program listens on a unix socket. The server would otherwise take over its path.
  private static func isAnswered(_ path: String) async -> Bool {
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    guard let channel = try? await bootstrap.connect(unixDomainSocketPath: path).get() else { return false }
    try? await channel.close()
    return true
  }
}
