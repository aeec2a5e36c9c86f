import Host
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// What Hummingbird's server does with each connection: NIO's HTTP/1 parser and pipelining, then ours.
struct Listener: ServerChildChannel {
  struct Value: ServerChildChannelValue { let channel: any Channel }

  let responder: Responder

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let start = RequestStart(responder.budgets)
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(start)
      try pipeline.configureHTTPServerPipeline(
        withPipeliningAssistance: true, withErrorHandling: false, withOutboundHeaderValidation: true,
        withEncoderConfiguration: .init(), withDecoderLimitConfiguration: Self.limits(responder.budgets))
      try pipeline.addHandler(Connection(responder: responder, start: start))
      return Value(channel: channel)
    }
  }

  /// Lasts as long as the connection; a server that stops waits for it, and in the end cancels.
  func handle(value: Value, logger: Logger) async {
    await withTaskCancellationHandler {
      try? await value.channel.closeFuture.get()
    } onCancel: {
      value.channel.close(promise: nil)
    }
  }

  /// The parser counts the request target among the headers and knows no separators, so these are a little wider than
  /// the limits of the scanner, which answers exactly.
  private static func limits(_ budgets: Budgets) -> NIOHTTPDecoderLimitConfiguration {
    var limits = NIOHTTPDecoderLimitConfiguration()
    limits.maxHeaderFieldSize = max(budgets.headers, budgets.requestLine)
    limits.maxHeaderListSize = budgets.headers + budgets.requestLine
    limits.maxHeaderFieldCount = FramingScanner.fieldLimit
    return limits
  }
}
