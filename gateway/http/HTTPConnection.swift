import Contract
import Glibc
import Host
import Limits
import NIOCore
import NIOHTTP1
import Wire

/// A connection of a client: reads a complete request, passes it to the dispatcher, writes the reply, and continues
/// with the next request when the client has taken the reply. Every step that a client can delay has a time limit. It
/// is one file of more than 300 lines because all of it changes one private state.
final class HTTPConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// How long a connection without a request stays open.
  private static let idleTime = TimeAmount.seconds(75)
  /// How long the client has to close the connection after the last reply. A client that is cut off while it sends may
  /// never see the reply.
  private static let lingerTime = TimeAmount.seconds(2)
  /// The time between two looks at how much of a reply the client has taken.
  private static let lookTime = TimeAmount.seconds(1)
  /// The time between two comments in a live stream.
  private static let heartbeat = TimeAmount.seconds(15)
  /// How long a live stream lasts, in seconds. After it, the client must reconnect and present its key again. The time
  /// is random, so that not all clients reconnect together.
  private static let streamTime: ClosedRange<Int64> = 40...50

  private enum State {
    /// Waits for a request, or for the rest of its head.
    case waiting
    case reading(HTTPExchange, RoutedRequest)
    case answering
    case streaming(LiveSubscription, HTTPExchange, until: NIODeadline)
    /// The body of the reply follows, piece by piece.
    case following(FollowedReply)
    /// The client has not taken the whole reply yet.
    case sending(stalledSince: NIODeadline)
    case closing
  }

  private let dispatcher: RequestDispatcher
  private let headTime: TimeAmount
  private let bodyTime: TimeAmount
  private let writeTime: TimeAmount
  private let framing: any RequestFraming
  private var state = State.waiting
  /// Nil before the connection begins and after it has ended.
  private var timer: DeadlineTimer?
  /// The first bytes of a request have arrived.
  private var hasBegun = false
  /// The rest of the head has not arrived in time.
  private var isLate = false
  /// The client sends no more, but may still read.
  private var inputHasEnded = false
  /// Read once, because a connection that has ended no longer has an address.
  private var peer = TrustedProxies.Peer.unknown
  private var isCounted = false
  /// Set while the connection waits for a request and may be closed for another.
  private var idleTicket: IdleConnections.Ticket?
  /// The bytes of replies that the client had not taken when it was last asked.
  private var unsent = 0
  /// Takes the body of the reply that is awaited, if it may follow.
  private var body: BodyStream?

  init(dispatcher: RequestDispatcher, framing: any RequestFraming) {
    self.dispatcher = dispatcher
    headTime = .milliseconds(Int64(dispatcher.budgets.headerMs))
    bodyTime = .milliseconds(Int64(dispatcher.budgets.bodyMs))
    writeTime = .milliseconds(Int64(dispatcher.budgets.writeMs))
    self.framing = framing
  }

  func channelActive(context: ChannelHandlerContext) {
    peer = framing.client ?? Self.peer(of: context)
    isCounted = dispatcher.connections.connect(peer)
    guard isCounted else {
      state = .closing
      return context.close(promise: nil)
    }
    dispatcher.metrics.connected()
    if dispatcher.connections.limits(peer) { dispatcher.idle.connected() }
    waitIdle(context)
    timer = DeadlineTimer(context.eventLoop.assumeIsolated(), interval: headTime) { self.timeIsUp(context) }
    timer?.set(headTime)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    if isCounted {
      dispatcher.connections.disconnect(peer)
      dispatcher.metrics.disconnected()
      if dispatcher.connections.limits(peer) { dispatcher.idle.disconnected() }
      endIdle()
    }
    timer?.cancel()
    timer = nil
    if case .streaming(let subscription, _, _) = state { subscription.end() }
    if case .following(let reply) = state { dispatcher.record(reply, .clientLeft) }
    body?.cancel()
    if case .reading(let exchange, _) = state { giveBack(exchange, context) }
    state = .closing
    _ = dispatcher.unsent.change(from: &unsent, to: 0)
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch (Self.unwrapInboundIn(data), state) {
    case (.head(let head), .waiting): begin(head, context)
    case (.body(let part), .reading(let exchange, var request)):
      guard request.request.message.body.count + part.readableBytes <= request.bodyLimit else {
        return refuse(.tooLarge(request.bodyLimit), exchange, context)
      }
      // The state must not hold the body during the append, which would then copy the body.
      state = .answering
      request.request.message.body += part.readableBytesView
      state = .reading(exchange, request)
    case (.end, .reading(let exchange, let request)): answer(request, exchange, context)
    default: break
    }
  }

  /// Corrects the shared counts of a request whose body did not arrive: its key was not tested.
  private func giveBack(_ exchange: HTTPExchange, _ context: ChannelHandlerContext) {
    guard let admission = exchange.admission else { return }
    let reply = GatewayReply(reply: Problem(.bodyTimeout).reply(requestID: exchange.requestID))
    _ = dispatcher.settled(reply, exchange, admission, on: context.eventLoop)
  }

  /// Lets the connection be closed for another while it waits for a request, unless it is a proxy's.
  private func waitIdle(_ context: ChannelHandlerContext) {
    guard dispatcher.connections.limits(peer) else { return }
    idleTicket = dispatcher.idle.wait(context.channel)
  }

  private func endIdle() {
    dispatcher.idle.end(idleTicket)
    idleTicket = nil
  }

  private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    var exchange = HTTPExchange(head)
    let message = MessageHead(head)
    exchange.origin = dispatcher.cors.allowed(message)
    if exchange.origin == nil { dispatcher.blockedOrigins.report(head.headers) }
    let keepsAlive = head.isKeepAlive && !head.headers.contains(name: "upgrade")
    do throws(Problem) {
      let checked = try RequestHead(message)
      exchange.keepsAlive = keepsAlive && !checked.hasBody
      switch try dispatcher.receive(checked, from: framing.client ?? peer, &exchange, on: context.eventLoop) {
      case .answered(let reply): write(GatewayReply(reply: reply), exchange, context)
      case .read(let request):
        exchange.keepsAlive = keepsAlive
        state = .reading(exchange, request)
        if request.hasBody { timer?.set(bodyTime) }
        if request.hasBody, request.expectsContinue {
          let go = HTTPResponseHead(version: .http1_1, status: .continue)
          context.writeAndFlush(Self.wrapOutboundOut(.head(go)), promise: nil)
        }
      }
    } catch {
      if error.kind != .notFound && error.kind != .tooManyRequests { exchange.keepsAlive = false }
      write(GatewayReply(reply: error.reply(requestID: exchange.requestID)), exchange, context)
    }
  }

  private static func peer(of context: ChannelHandlerContext) -> TrustedProxies.Peer {
    switch context.remoteAddress {
    case .unixDomainSocket: .unixSocket
    case let address?: address.ipAddress.flatMap { ClientAddress($0) }.map { .address($0) } ?? .unknown
    case nil: .unknown
    }
  }

  private func answer(_ request: RoutedRequest, _ exchange: HTTPExchange, _ context: ChannelHandlerContext) {
    state = .answering
    timer?.clear()
    let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
    var exchange = exchange
    // The dispatcher settles the reply.
    exchange.admission = nil
    let answered = exchange
    let isGone: @Sendable () -> Bool = { connection.value.inputHasEnded || connection.value.timer == nil }
    var request = request
    body = request.endpoint.handler.description.bodyFollows ? BodyStream() : nil
    request.request.body = body
    dispatcher.answer(request, on: context.eventLoop, isGone: isGone).assumeIsolated().whenSuccess { answer in
      self.write(answer, answered, context)
    }
  }

  private func refuse(_ problem: Problem, _ exchange: HTTPExchange, _ context: ChannelHandlerContext) {
    var exchange = exchange
    exchange.keepsAlive = false
    write(GatewayReply(reply: problem.reply(requestID: exchange.requestID)), exchange, context)
  }

  // MARK: - Replies

  /// Writes the reply, then waits for the next request or closes.
  private func write(_ answer: GatewayReply, _ exchange: HTTPExchange, _ context: ChannelHandlerContext) {
    var exchange = exchange
    if let admission = exchange.admission {
      // The request is refused before its handler is called.
      exchange.admission = nil
      let settled = exchange
      state = .answering
      timer?.clear()
      return dispatcher.settled(answer, settled, admission, on: context.eventLoop).assumeIsolated().whenSuccess {
        self.write($0, settled, context)
      }
    }
    exchange.quota = exchange.quota.map { dispatcher.rateLimits.settle($0, answer.reply.status) }
    var answer = answer
    if let page = exchange.refusalPage { answer.reply = page.shown(answer.reply) }
    let follows = answer.reply.bodyFollows && exchange.method != "HEAD"
    if !follows {
      dispatcher.record(exchange, answer)
      body?.cancel()
      // It has two descriptors, and the connection may stay open for long.
      body = nil
    }
    guard context.channel.isActive else {
      answer.subscription?.end()
      return
    }
    if let quota = answer.quota { exchange.quota = quota }
    if let subscription = answer.subscription { return stream(subscription, answer.reply, exchange, context) }
    if follows, let body { return follow(FollowedReply(body, answer, exchange), context) }
    // A HEAD whose body would follow has no length, so only the end of the connection ends its reply.
    if inputHasEnded || answer.reply.bodyFollows { exchange.keepsAlive = false }
    let bytes = exchange.body(of: answer.reply)
    context.write(Self.wrapOutboundOut(.head(exchange.head(of: answer.reply))), promise: nil)
    if !bytes.isEmpty {
      context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
    }
    end(exchange, context)
  }

  /// Finishes the reply that is being written.
  private func end(_ exchange: HTTPExchange, _ context: ChannelHandlerContext) {
    state = .sending(stalledSince: .now())
    if !exchange.keepsAlive { framing.discard() }
    let written = context.writeAndFlush(Self.wrapOutboundOut(.end(nil)))
    written.assumeIsolated().whenComplete { result in
      guard case .success = result else { return context.close(promise: nil) }
      self.sent(exchange, context)
    }
    guard case .sending = state else { return }
    timer?.set(min(Self.lookTime, writeTime))
    if !countUnsent(context) { abort(context) }
  }

  /// The system has taken the whole reply: waits for the next request or closes.
  private func sent(_ exchange: HTTPExchange, _ context: ChannelHandlerContext) {
    _ = dispatcher.unsent.change(from: &unsent, to: 0)
    guard exchange.keepsAlive, !inputHasEnded else {
      state = .closing
      timer?.set(Self.lingerTime)
      return context.close(mode: inputHasEnded ? .all : .output, promise: nil)
    }
    state = .waiting
    hasBegun = false
    waitIdle(context)
    timer?.set(Self.idleTime)
    framing.next()
  }

  /// Counts the bytes that the system has not taken for the client. False if the connection must be closed.
  private func countUnsent(_ context: ChannelHandlerContext) -> Bool {
    let left: Int
    do { left = try context.channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0 } catch { left = 0 }
    return dispatcher.unsent.change(from: &unsent, to: left)
  }

  /// Continues to send while the client reads, however slowly. Closes the connection when it has not read for too long,
  /// which is one look if all clients together leave too much unread.
  private func look(_ stalledSince: NIODeadline, _ context: ChannelHandlerContext) {
    let before = unsent
    guard countUnsent(context) else { return abort(context) }
    if unsent < before {
      state = .sending(stalledSince: .now())
    } else if dispatcher.unsent.isHigh || .now() - stalledSince >= writeTime {
      return abort(context)
    }
    timer?.set(min(Self.lookTime, writeTime))
  }

  /// Closes the connection and drops the bytes that the system has for it.
  private func abort(_ context: ChannelHandlerContext) {
    dispatcher.metrics.droppedReader()
    reset(context)
  }

  private func reset(_ context: ChannelHandlerContext) {
    _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    context.close(promise: nil)
  }

  // MARK: - Live streams

  /// Writes the beginning of a live stream, and keeps the stream open for its events.
  private func stream(
    _ subscription: LiveSubscription, _ reply: Reply, _ exchange: HTTPExchange, _ context: ChannelHandlerContext
  ) {
    var exchange = exchange
    if exchange.isHTTP10 { exchange.keepsAlive = false }
    context.write(Self.wrapOutboundOut(.head(exchange.head(of: reply, isOpen: true))), promise: nil)
    context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: reply.body)))), promise: nil)
    guard let held = subscription.start(context.channel) else { return end(exchange, context) }
    let end = NIODeadline.now() + .seconds(Int64.random(in: Self.streamTime))
    state = .streaming(subscription, exchange, until: end)
    timer?.set(min(Self.heartbeat, end - .now()))
    if inputHasEnded { return context.close(promise: nil) }
    guard countUnsent(context) else { return abort(context) }
    if !held.isEmpty { send(ByteBuffer(bytes: held), subscription, context) }
  }

  private func send(_ bytes: ByteBuffer, _ subscription: LiveSubscription, _ context: ChannelHandlerContext) {
    context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(bytes)))).assumeIsolated().whenComplete { _ in
      subscription.sent(bytes.readableBytes)
      if self.unsent > 0 { _ = self.countUnsent(context) }
    }
    if !countUnsent(context) { abort(context) }
  }

  private func endStream(
    _ subscription: LiveSubscription, _ exchange: HTTPExchange, _ context: ChannelHandlerContext
  ) {
    subscription.end()
    end(exchange, context)
  }

  // MARK: - Bodies that follow

  /// Writes the head of a reply, and asks for its body.
  private func follow(_ reply: FollowedReply, _ context: ChannelHandlerContext) {
    context.writeAndFlush(
      Self.wrapOutboundOut(.head(reply.exchange.head(of: reply.answer.reply, isOpen: true))), promise: nil)
    state = .following(reply)
    timer?.set(min(Self.lookTime, writeTime))
    let bound = NIOLoopBound((connection: self, reply: reply, context: context), eventLoop: context.eventLoop)
    reply.stream.start(on: context.eventLoop) { event in
      let (connection, reply, context) = bound.value
      guard case .following(let current) = connection.state, current === reply else { return }
      switch event {
      case .piece(let bytes): connection.pass(bytes, of: reply, context)
      case .end(let end): connection.endBody(of: reply, end, context)
      }
    }
  }

  /// Writes a piece, and asks for the next when the system has taken it.
  private func pass(_ bytes: [UInt8], of reply: FollowedReply, _ context: ChannelHandlerContext) {
    reply.begin(at: .now())
    let piece = Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes))))
    context.writeAndFlush(piece).assumeIsolated().whenSuccess {
      reply.took(bytes.count, at: .now())
      if self.unsent > 0 { _ = self.countUnsent(context) }
      reply.stream.more()
    }
    if case .following = state, !countUnsent(context) { abort(context) }
  }

  /// Ends the reply. One that is not whole must not look whole: the connection is reset.
  private func endBody(of reply: FollowedReply, _ bodyEnd: BodyEnd, _ context: ChannelHandlerContext) {
    dispatcher.record(reply, bodyEnd)
    body = nil
    guard bodyEnd != .whole else { return end(reply.exchange, context) }
    state = .closing
    reset(context)
  }

  /// Ends a reply whose client takes nothing for too long.
  private func look(_ reply: FollowedReply, _ context: ChannelHandlerContext) {
    let before = unsent
    guard countUnsent(context) else { return abort(context) }
    let isHigh = dispatcher.unsent.isHigh
    if reply.isStalled(hasRead: unsent < before, isHigh: isHigh, limit: writeTime, at: .now()) { return abort(context) }
    timer?.set(min(Self.lookTime, writeTime))
  }

  // MARK: - Events and errors

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch (event, state) {
    case (let events as LiveSubscription.Events, .streaming(let subscription, _, _)):
      if events.number == subscription.number { send(events.bytes, subscription, context) }
    case (is LiveSubscription.Ended, .streaming(let subscription, let exchange, _)):
      endStream(subscription, exchange, context)
    case (is RequestBegan, .waiting):
      hasBegun = true
      endIdle()
      timer?.set(headTime)
    case (ChannelEvent.inputClosed, .answering), (ChannelEvent.inputClosed, .sending):
      inputHasEnded = true
      // A client that has closed its sending side does not wait for a long body.
      body?.cancel()
    case (ChannelEvent.inputClosed, _): context.close(promise: nil)
    default: break
    }
    context.fireUserInboundEventTriggered(event)
  }

  /// Replies to an error of the parser or the scanner and ends the connection. An error of the socket only ends it.
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard error is HTTPParserError else {
      if case .closing = state { return }
      return context.close(promise: nil)
    }
    let exchange: HTTPExchange
    switch state {
    case .waiting: exchange = .unreadable
    case .reading(let current, _): exchange = current
    case .answering, .streaming, .following, .sending, .closing: return
    }
    switch framing.violation {
    case _ where isLate: refuse(Problem(.headTimeout), exchange, context)
    case .malformed(let reason): refuse(Problem(.malformedRequest, ["reason": reason]), exchange, context)
    case .lineTooLong:
      let limit = dispatcher.budgets.requestLine
      refuse(Problem(.targetTooLong, ["max": limit]), exchange, context)
    case .headersTooLarge:
      let (fields, limit) = (MessageHead.fieldLimit, dispatcher.budgets.headers)
      let problem = Problem(.headersTooLarge, ["fields": fields, "max": limit])
      refuse(problem, exchange, context)
    case .unknownMethod(let method, let target):
      let reply = dispatcher.refuse(method, target, requestID: exchange.requestID)
      write(GatewayReply(reply: reply), exchange, context)
    case nil: refuse(Problem(.malformedRequest, ["reason": "it cannot be parsed"]), exchange, context)
    }
  }

  private func timeIsUp(_ context: ChannelHandlerContext) {
    switch state {
    case .waiting where hasBegun:
      // NIO's pipelining lets no reply pass before a head, except after an error of the parser.
      isLate = true
      context.pipeline.syncOperations.fireErrorCaught(HTTPParserError.unknown)
    case .reading(let exchange, _): refuse(Problem(.bodyTimeout), exchange, context)
    case .waiting, .closing: context.close(promise: nil)
    case .streaming(let subscription, let exchange, let end) where end <= .now():
      endStream(subscription, exchange, context)
    case .streaming(_, _, let end):
      context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: ":\n\n")))), promise: nil)
      timer?.set(min(Self.heartbeat, end - .now()))
    case .sending(let stalledSince): look(stalledSince, context)
    case .following(let reply): look(reply, context)
    case .answering: break
    }
  }
}
