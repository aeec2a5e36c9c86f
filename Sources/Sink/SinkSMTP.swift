import Glibc
import NIOCore
import NIOPosix

/// The sink's SMTP server: moves bytes between connections and their sessions.
struct SinkSMTP: Sendable {
  typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

  /// A connection is closed after this long without a byte from its client.
  private static let idle = TimeAmount.seconds(60)
  let box: SinkBox
  let book: FaultBook

  /// Serves 127.0.0.1 until the task is cancelled. Calls `ready` with the port once it is bound.
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
          // A broken connection does not end the others.
          group.addTask { try? await talk(over: connection) }
        }
      }
      group.cancelAll()
    }
  }

  private func talk(over connection: Connection) async throws {
    try await connection.executeThenClose { inbound, outbound in
      var session = SMTPSession(book)
      var actions = session.greet()
      var pieces = inbound.makeAsyncIterator()
      repeat {
        for action in actions {
          switch action {
          case .send(let text): try await outbound.write(ByteBuffer(string: text))
          case .deliver(let mail): try await outbound.write(ByteBuffer(string: await box.mail(mail)))
          case .keep(let mail, let kind): _ = await box.mail(mail, unanswered: kind)
          case .failed(let kind): await box.count(.email, kind)
          case .wait(let milliseconds): try await Task.sleep(for: .milliseconds(milliseconds))
          case .close: return
          case .reset: return await connection.channel.reset()
          }
        }
        guard let bytes = try await pieces.next() else { return }
        actions = session.receive(bytes.readableBytesView)
      } while true
    }
  }
}

extension Channel {
  /// Closes with RST: unread data is discarded, and the client's next read fails.
  func reset() async {
    try? await (self as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
    try? await close()
  }
}

/// Closes a connection whose client has been idle too long.
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
