import Host
import Limits
import NIOCore
import NIOHTTP1

/// Runs `FramingScanner` before NIO's parser, which gets only bytes that the scanner accepts: whole request lines, and
/// everything else as it arrives. Reports to the connection when a request begins, and which rule it breaks.
///
/// It passes on one request at a time. Until the connection has sent the reply and calls `next`, the bytes of further
/// requests wait here as they are, and no more are read. So a client that does not read its replies gets no others.
final class FramingChannelHandler: ChannelDuplexHandler, RequestFraming {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer

  /// What happens to the bytes that arrive.
  private enum Gate { case open, closed, discarding }

  /// How many bytes may wait. More arrive only from a client that has closed its side: NIO then reads all that the
  /// system has.
  private static let waitingLimit = 65_536

  private var scanner: FramingScanner
  private var gate = Gate.open
  /// Bytes that have not been scanned.
  private var waiting = ByteBuffer()
  /// Bytes of an incomplete request line.
  private var held = ByteBuffer()
  private var isPassing = false
  private var mustRead = false
  /// The client sends no more, which is reported after the waiting bytes.
  private var inputHasEnded = false
  private var context: ChannelHandlerContext?

  init(_ budgets: Budgets) { scanner = FramingScanner(budgets) }

  var violation: FramingScanner.Violation? { scanner.violation }
  var client: TrustedProxies.Peer? { nil }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func next() {
    gate = .open
    resume()
  }

  func discard() {
    gate = .discarding
    waiting = ByteBuffer()
    resume()
  }

  private func resume() {
    guard let context, !isPassing else { return }
    pass(context)
    guard mustRead, mayRead else { return }
    mustRead = false
    context.read()
  }

  private var mayRead: Bool { gate != .closed && waiting.readableBytes == 0 }

  func read(context: ChannelHandlerContext) {
    if mayRead { context.read() } else { mustRead = true }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard gate != .discarding, scanner.violation == nil else { return }
    var bytes = Self.unwrapInboundIn(data)
    guard gate == .open || waiting.readableBytes < Self.waitingLimit else {
      // The current request still gets its reply, then the connection ends.
      discard()
      return context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }
    if waiting.readableBytes == 0 { waiting = bytes } else { waiting.writeBuffer(&bytes) }
    if !isPassing { pass(context) }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case ChannelEvent.inputClosed = event, waiting.readableBytes > 0 else {
      return context.fireUserInboundEventTriggered(event)
    }
    inputHasEnded = true
  }

  /// Passes on waiting bytes up to the end of a request. A loop, because the reply to a request may be sent before the
  /// request has been passed on completely.
  private func pass(_ context: ChannelHandlerContext) {
    isPassing = true
    while gate == .open, waiting.readableBytes > 0 { scan(context) }
    isPassing = false
    if inputHasEnded, waiting.readableBytes == 0 {
      inputHasEnded = false
      context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }
  }

  private func scan(_ context: ChannelHandlerContext) {
    let wasInHead = scanner.isInHead
    let good = scanner.feed(waiting.readableBytesView)
    if scanner.hasEnded { gate = .closed }
    guard let part = waiting.readSlice(length: good) else { return }
    // Bytes after a violation are dropped.
    if waiting.readableBytes == 0 || scanner.violation != nil { waiting = ByteBuffer() }
    if !wasInHead, scanner.isInHead || scanner.violation != nil {
      context.fireUserInboundEventTriggered(RequestBegan())
    }
    passOn(part, context)
    // A parser error, because NIO's pipelining delays these until earlier requests have their replies.
    if scanner.violation != nil { context.fireErrorCaught(HTTPParserError.unknown) }
  }

  /// Passes on bytes without those of an incomplete request line.
  private func passOn(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
    var part = part
    if held.readableBytes > 0 || scanner.lineBytes > 0 {
      held.writeBuffer(&part)
      part = held.readSlice(length: held.readableBytes - scanner.lineBytes) ?? part
      held.discardReadBytes()
    }
    if part.readableBytes > 0 { context.fireChannelRead(Self.wrapInboundOut(part)) }
  }
}
