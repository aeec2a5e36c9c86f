import NIOCore

/// Stands before the parser and sees what the parser does not tell: that a request has begun to arrive, and whether its
/// first line has come to its end.
final class RequestStart: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  /// Sent down the pipeline with the first byte of a request.
  struct Began: Sendable {}

  private enum State { case expecting, inLine, past }
  private var state = State.expecting

  /// Whether the first line has begun and not ended.
  var isInLine: Bool { state == .inLine }

  /// The next byte is the first of a request.
  func expect() { state = .expecting }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if state == .expecting {
      state = .inLine
      context.fireUserInboundEventTriggered(Began())
    }
    if state == .inLine, Self.unwrapInboundIn(data).readableBytesView.contains(0x0A) { state = .past }
    context.fireChannelRead(data)
  }
}
