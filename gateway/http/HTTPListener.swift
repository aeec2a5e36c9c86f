import Contract
import Host
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// Sets up each connection of Hummingbird's server: the framing scanner, NIO's HTTP/1 parser and pipelining, and
/// `HTTPConnection`.
struct HTTPListener: ServerChildChannel {
  struct Value: ServerChildChannelValue { let channel: any Channel }

  let dispatcher: RequestDispatcher

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let framing = FramingChannelHandler(dispatcher.budgets)
      // The most that a connection holds of requests whose turn has not come.
      try channel.syncOptions?.setOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: 16_384))
      try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(framing)
      try pipeline.configureHTTPServerPipeline(
        withPipeliningAssistance: true, withErrorHandling: false, withOutboundHeaderValidation: true,
        withEncoderConfiguration: .init(), withDecoderLimitConfiguration: Self.limits(dispatcher.budgets))
      try pipeline.addHandler(HTTPConnection(dispatcher: dispatcher, framing: framing))
      return Value(channel: channel)
    }
  }

  /// Returns when the connection has ended. A server that stops waits for this, and cancels it at its time limit.
  func handle(value: Value, logger: Logger) async {
    await withTaskCancellationHandler {
      try? await value.channel.closeFuture.get()
    } onCancel: {
      value.channel.close(promise: nil)
    }
  }

  /// Returns the parser's limits. The parser counts the request target as a header and does not count separators, so
  /// its limits are a little wider than those of the scanner, which are exact.
  private static func limits(_ budgets: Budgets) -> NIOHTTPDecoderLimitConfiguration {
    var limits = NIOHTTPDecoderLimitConfiguration()
    limits.maxHeaderFieldSize = max(budgets.headers, budgets.requestLine)
    limits.maxHeaderListSize = budgets.headers + budgets.requestLine
    limits.maxHeaderFieldCount = MessageHead.fieldLimit
    return limits
  }
}
