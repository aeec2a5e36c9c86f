import Host
import Limits
import NIOCore
import NIOHTTP1

/// Translates between an SCGI connection and `HTTPConnection`: the request becomes one of HTTP, and the reply becomes
/// that of a CGI program (RFC 3875 §6). The connection ends with the reply.
final class SCGIChannelHandler: ChannelDuplexHandler, RequestFraming {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = ByteBuffer

  private var decoder: SCGIDecoder
  private var hasBegun = false
  private var isDiscarding = false
  private(set) var client: TrustedProxies.Peer? = .unknown

  init(_ budgets: Budgets) { decoder = SCGIDecoder(budgets) }

  var violation: FramingScanner.Violation? { decoder.violation }

  /// Never called, because each request says `Connection: close`.
  func next() {}

  func discard() { isDiscarding = true }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isDiscarding, violation == nil else { return }
    if !hasBegun {
      hasBegun = true
      context.fireUserInboundEventTriggered(RequestBegan())
    }
    for part in decoder.feed(Self.unwrapInboundIn(data).readableBytesView) {
      switch part {
      case .head(let head):
        client = head.client
        context.fireChannelRead(Self.wrapInboundOut(.head(Self.http(head))))
      case .body(let bytes): context.fireChannelRead(Self.wrapInboundOut(.body(ByteBuffer(bytes: bytes))))
      case .end: context.fireChannelRead(Self.wrapInboundOut(.end(nil)))
      }
    }
    if violation != nil { context.fireErrorCaught(HTTPParserError.unknown) }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case ChannelEvent.inputClosed = event, !isDiscarding, violation == nil {
      decoder.endOfInput()
      if violation != nil { context.fireErrorCaught(HTTPParserError.unknown) }
    }
    context.fireUserInboundEventTriggered(event)
  }

  private static func http(_ head: SCGIHead) -> HTTPRequestHead {
    HTTPRequestHead(
      version: head.isHTTP10 ? .http1_0 : .http1_1, method: HTTPMethod(rawValue: head.method), uri: head.target,
      headers: HTTPHeaders(Array(zip(head.names, head.values))))
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch Self.unwrapOutboundIn(data) {
    // CGI has no interim replies. The web server has sent `100 Continue` itself.
    case .head(let head) where head.status.code < 200: promise?.succeed()
    case .head(let head): context.write(Self.wrapOutboundOut(ByteBuffer(string: CGIReply.head(head))), promise: promise)
    case .body(.byteBuffer(let bytes)): context.write(Self.wrapOutboundOut(bytes), promise: promise)
    case .body(.fileRegion): promise?.fail(ChannelError.operationUnsupported)
    case .end: context.write(Self.wrapOutboundOut(ByteBuffer()), promise: promise)
    }
  }
}
