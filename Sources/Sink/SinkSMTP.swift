import NIOCore
import NIOPosix

/// The sink's mail half: moves bytes between connections and their sessions.
struct SinkSMTP: Sendable {
  typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

  /// A connection is closed after this long without a byte from its client.
  private static let idle = TimeAmount.seconds(60)
  let box: SinkBox

  /// Serves 127.0.0.1 until the task is cancelled; `ready` is told the port once it is bound.
  func run(port: Int, ready: @escaping @Sendable (Int) -> Void) async throws {
    let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .bind(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(IdleStateHandler(readTimeout: Self.idle))
          try channel.pipeline.syncOperations.addHandler(CloseWhenIdle())
          return try Connection(wrappingChannelSynchronously: channel)
        }
      }
    ready(server.channel.localAddress?.port ?? 0)
    try await withThrowingDiscardingTaskGroup { group in
      try await server.executeThenClose { connections in
        for try await connection in connections {
          // A connection that breaks ends alone.
          group.addTask { try? await talk(over: connection) }
        }
      }
      group.cancelAll()
    }
  }

  private func talk(over connection: Connection) async throws {
    try await connection.executeThenClose { inbound, outbound in
      var session = SMTPSession()
      try await outbound.write(ByteBuffer(string: SMTPSession.greeting))
      for try await bytes in inbound {
        for action in session.receive(bytes.readableBytesView) {
          switch action {
          case .send(let text): try await outbound.write(ByteBuffer(string: text))
          case .deliver(let mail): try await outbound.write(ByteBuffer(string: await box.mail(mail)))
          case .close: return
          }
        }
      }
    }
  }
}

/// Closes a connection whose client has fallen silent.
private final class CloseWhenIdle: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent {
      context.close(promise: nil)
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }
}
