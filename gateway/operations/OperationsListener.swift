import Contract
import Host
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle

/// The listener for the operator, separate from the one for clients. Each connection gets one reply.
struct OperationsListener: ServerChildChannel {
  struct Value: ServerChildChannelValue { let channel: any Channel }

  let pages: OperationsPages

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let pipeline = channel.pipeline.syncOperations
      try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: true)
      try pipeline.addHandler(OperationsConnection(pages: pages))
      return Value(channel: channel)
    }
  }

  func handle(value: Value, logger: Logger) async {
    await withTaskCancellationHandler {
      try? await value.channel.closeFuture.get()
    } onCancel: {
      value.channel.close(promise: nil)
    }
  }
}

/// A connection of the operator, with one request and its reply.
final class OperationsConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// The time limit of a connection.
  private static let time = TimeAmount.seconds(5)
  private let pages: OperationsPages
  private var head: HTTPRequestHead?
  private var isAnswered = false
  private var timer: Scheduled<Void>?

  init(pages: OperationsPages) { self.pages = pages }

  func channelActive(context: ChannelHandlerContext) {
    timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.time) { context.close(promise: nil) }
  }

  func channelInactive(context: ChannelHandlerContext) { timer?.cancel() }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch Self.unwrapInboundIn(data) {
    case .head(let head) where self.head == nil: self.head = head
    case .end where !isAnswered:
      isAnswered = true
      if let head { answer(head, context) }
    default: break
    }
  }

  private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    guard head.method == .GET || head.method == .HEAD else {
      return write(OperationsPages.PageReply(status: 405, text: "GET, HEAD\n"), to: head, context)
    }
    let path =
      head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init) ?? ""
    let page = context.eventLoop.makeFutureWithTask { [pages] in await pages.page(path) }
    page.assumeIsolated().whenSuccess { self.write($0, to: head, context) }
  }

  private func write(_ page: OperationsPages.PageReply, to request: HTTPRequestHead, _ context: ChannelHandlerContext) {
    guard context.channel.isActive else { return }
    var headers: HTTPHeaders = [
      "content-type": page.type, "content-length": String(page.text.utf8.count), "cache-control": "no-store",
      "connection": "close",
    ]
    if page.status == 405 { headers.add(name: "allow", value: "GET, HEAD") }
    let head = HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: page.status), headers: headers)
    context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
    if request.method != .HEAD {
      context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: page.text)))), promise: nil)
    }
    context.writeAndFlush(Self.wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
      context.close(promise: nil)
    }
  }
}
