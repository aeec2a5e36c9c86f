import Host
import NIOCore
import NIOHTTP1

/// Runs `FramingScanner` before NIO's parser, which gets only bytes that the scanner accepts: whole request lines, and
/// everything else as it arrives. Reports to the connection when a request begins, and which rule it breaks.
final class FramingChannelHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  /// Fired in the pipeline at the first byte of a request.
  struct RequestBegan: Sendable {}

  private var scanner: FramingScanner
  /// Bytes of an incomplete request line.
  private var held = ByteBuffer()

  init(_ budgets: Budgets) { scanner = FramingScanner(budgets) }

  /// True if a head has begun and not ended.
  var isInHead: Bool { scanner.isInHead }
  var violation: FramingScanner.Violation? { scanner.violation }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // Bytes after a violation are dropped.
    guard scanner.violation == nil else { return }
    let wasInHead = scanner.isInHead
    var bytes = Self.unwrapInboundIn(data)
    let good = scanner.feed(bytes.readableBytesView)
    if !wasInHead, scanner.isInHead || scanner.violation != nil {
      context.fireUserInboundEventTriggered(RequestBegan())
    }
    if held.readableBytes == 0, scanner.lineBytes == 0, scanner.violation == nil {
      context.fireChannelRead(data)
    } else {
      if var part = bytes.readSlice(length: good) { held.writeBuffer(&part) }
      let complete = held.readableBytes - scanner.lineBytes
      if complete > 0, let part = held.readSlice(length: complete) {
        context.fireChannelRead(Self.wrapInboundOut(part))
      }
      held.discardReadBytes()
    }
    // A parser error, because NIO's pipelining delays these until earlier requests have their replies.
    if scanner.violation != nil { context.fireErrorCaught(HTTPParserError.unknown) }
  }
}
