import Host
import NIOCore
import NIOHTTP1

/// Stands before the parser, which gets to see only what the scanner has found in order: request lines as a whole, the rest
/// as it comes. Tells the connection that a request has begun to arrive, and what is wrong with one.
final class RequestStart: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  /// Sent down the pipeline with the first byte of a request.
  struct Began: Sendable {}

  private var scanner: FramingScanner
  private var held = ByteBuffer()

  init(_ budgets: Budgets) { scanner = FramingScanner(budgets) }

  /// Whether a head has begun and not ended.
  var isInHead: Bool { scanner.isInHead }
  var fault: FramingScanner.Fault? { scanner.fault }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // What follows a fault is nobody's.
    guard scanner.fault == nil else { return }
    let wasInHead = scanner.isInHead
    var bytes = Self.unwrapInboundIn(data)
    let good = scanner.feed(bytes.readableBytesView)
    if !wasInHead, scanner.isInHead || scanner.fault != nil { context.fireUserInboundEventTriggered(Began()) }
    if held.readableBytes == 0, scanner.lineBytes == 0, scanner.fault == nil {
      context.fireChannelRead(data)
    } else {
      if var part = bytes.readSlice(length: good) { held.writeBuffer(&part) }
      let inOrder = held.readableBytes - scanner.lineBytes
      if inOrder > 0, let part = held.readSlice(length: inOrder) { context.fireChannelRead(Self.wrapInboundOut(part)) }
      held.discardReadBytes()
    }
    // Of the parser's kind: pipelining keeps it back until earlier requests have their replies.
    if scanner.fault != nil { context.fireErrorCaught(HTTPParserError.unknown) }
  }
}
