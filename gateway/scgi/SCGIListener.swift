import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// Sets up each connection of a web server by SCGI. After the translation, requests are served as those by HTTP.
struct SCGIListener: ServerChildChannel {
  let dispatcher: RequestDispatcher

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTPListener.Value> {
    channel.eventLoop.makeCompletedFuture {
      let translation = SCGIChannelHandler(dispatcher.budgets)
      try channel.syncOptions?.setOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: 16_384))
      try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(translation)
      try pipeline.addHandler(NIOHTTPResponseHeadersValidator())
      try pipeline.addHandler(HTTPConnection(dispatcher: dispatcher, framing: translation))
      return HTTPListener.Value(channel: channel)
    }
  }

  func handle(value: HTTPListener.Value, logger: Logger) async {
    await HTTPListener(dispatcher: dispatcher).handle(value: value, logger: logger)
  }
}
