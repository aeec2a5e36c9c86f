import Handler
import Host
import Limits
import NIOCore
import NIOHTTP1
import Wire

/// One connection: reads a request to its end, has it answered, writes the reply, and goes on to the next. Everything that
/// a client can draw out has a time limit.
final class Connection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private static let idleTime = TimeAmount.seconds(75)
  /// After the last reply, for the client to close: a client that is cut off while it sends may never see the reply.
  private static let lingerTime = TimeAmount.seconds(2)
  /// Between two signs of life to a client that listens.
  private static let heartbeat = TimeAmount.seconds(15)
  /// How long it listens before it must come again, and show its key again, in seconds. Not all of them at once.
  private static let listeningTime: ClosedRange<Int64> = 40...50

  private enum State {
    /// For a request, or the rest of its head.
    case waiting
    case reading(Exchange, Call)
    case answering
    case listening(Seat, Exchange, until: NIODeadline)
    case closing
  }

  private let responder: Responder
  private let headTime: TimeAmount
  private let bodyTime: TimeAmount
  private let start: RequestStart
  private var state = State.waiting
  /// When patience ends, and when the timer looks whether it has: it is set anew only where it would look too late, for taking
  /// one back costs an event loop a search through all of them.
  private var deadline: NIODeadline?
  private var timer: (time: NIODeadline, scheduled: Scheduled<Void>)?
  /// The first bytes of a request have come.
  private var hasBegun = false
  /// The rest of the head has not come in time.
  private var isLate = false
  /// The client sends no more, and may still read.
  private var inputHasEnded = false
  /// Asked for once: a connection that has ended knows it no more.
  private var peer = TrustedProxies.Peer.unknown
  private var isCounted = false

  init(responder: Responder, start: RequestStart) {
    self.responder = responder
    headTime = .milliseconds(Int64(responder.budgets.headerMs))
    bodyTime = .milliseconds(Int64(responder.budgets.bodyMs))
    self.start = start
  }

  func channelActive(context: ChannelHandlerContext) {
    peer = Self.peer(of: context)
    isCounted = responder.clients.connect(peer)
    guard isCounted else {
      state = .closing
      return context.close(promise: nil)
    }
    responder.metrics.connected()
    setTimer(headTime, context)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    if isCounted {
      responder.clients.disconnect(peer)
      responder.metrics.disconnected()
    }
    deadline = nil
    timer?.scheduled.cancel()
    if case .listening(let seat, _, _) = state { seat.leave() }
    state = .closing
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch (Self.unwrapInboundIn(data), state) {
    case (.head(let head), .waiting): begin(head, context)
    case (.body(let part), .reading(let exchange, var call)):
      guard call.request.body.count + part.readableBytes <= call.bodyLimit else {
        return refuse(Responder.tooLarge(call.bodyLimit), exchange, context)
      }
      // One owner of the body at a time, or each part would copy all before it.
      state = .answering
      call.request.body += part.readableBytesView
      state = .reading(exchange, call)
    case (.end, .reading(let exchange, let call)): answer(call, exchange, context)
    default: break
    }
  }

  private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    var exchange = Exchange(head)
    exchange.origin = responder.crossOrigin.allowed(head.headers)
    do throws(Problem) {
      let checked = try RequestHead(head)
      exchange.mayGoOn = head.isKeepAlive && !checked.hasBody && !head.headers.contains(name: "upgrade")
      switch try responder.receive(checked, from: peer, &exchange) {
      case .answered(let reply): write(Answer(reply: reply), exchange, context)
      case .read(let call):
        exchange.mayGoOn = head.isKeepAlive && !head.headers.contains(name: "upgrade")
        state = .reading(exchange, call)
        if call.hasBody { setTimer(bodyTime, context) }
        if call.hasBody, call.expectsContinue {
          let go = HTTPResponseHead(version: .http1_1, status: .continue)
          context.writeAndFlush(Self.wrapOutboundOut(.head(go)), promise: nil)
        }
      }
    } catch {
      if error.kind != .notFound && error.kind != .tooManyRequests { exchange.mayGoOn = false }
      write(Answer(reply: error.reply(requestID: exchange.requestID)), exchange, context)
    }
  }

  private static func peer(of context: ChannelHandlerContext) -> TrustedProxies.Peer {
    switch context.remoteAddress {
    case .unixDomainSocket: .unixSocket
    case let address?: address.ipAddress.flatMap { ClientAddress($0) }.map { .address($0) } ?? .unknown
    case nil: .unknown
    }
  }

  private func answer(_ call: Call, _ exchange: Exchange, _ context: ChannelHandlerContext) {
    state = .answering
    deadline = nil
    responder.answer(call, on: context.eventLoop).assumeIsolated().whenSuccess { answer in
      self.write(answer, exchange, context)
    }
  }

  private func refuse(_ problem: Problem, _ exchange: Exchange, _ context: ChannelHandlerContext) {
    var exchange = exchange
    exchange.mayGoOn = false
    write(Answer(reply: problem.reply(requestID: exchange.requestID)), exchange, context)
  }

  /// Writes the reply, then waits for the next request or closes.
  private func write(_ answer: Answer, _ exchange: Exchange, _ context: ChannelHandlerContext) {
    responder.record(exchange, answer)
    guard context.channel.isActive else {
      answer.seat?.leave()
      return
    }
    var exchange = exchange
    if let quota = answer.quota { exchange.quota = quota }
    if let seat = answer.seat { return listen(seat, answer.reply, exchange, context) }
    if inputHasEnded { exchange.mayGoOn = false }
    let bytes = exchange.body(of: answer.reply)
    context.write(Self.wrapOutboundOut(.head(exchange.head(of: answer.reply))), promise: nil)
    if !bytes.isEmpty {
      context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
    }
    end(exchange, context)
  }

  /// Ends the reply that is being written.
  private func end(_ exchange: Exchange, _ context: ChannelHandlerContext) {
    // The next request may be waiting in the pipeline: it comes while the end of this one is being written.
    state = exchange.mayGoOn ? .waiting : .closing
    hasBegun = start.isInHead
    setTimer(hasBegun ? headTime : Self.idleTime, context)
    let written = context.writeAndFlush(Self.wrapOutboundOut(.end(nil)))
    written.assumeIsolated().whenComplete { result in
      guard case .success = result else { return context.close(promise: nil) }
      guard !exchange.mayGoOn else { return }
      self.setTimer(Self.lingerTime, context)
      context.close(mode: self.inputHasEnded ? .all : .output, promise: nil)
    }
  }

  // MARK: - Listening

  /// Writes the beginning of a stream, and stays for what follows.
  private func listen(_ seat: Seat, _ reply: Reply, _ exchange: Exchange, _ context: ChannelHandlerContext) {
    var exchange = exchange
    if exchange.isOld { exchange.mayGoOn = false }
    context.write(Self.wrapOutboundOut(.head(exchange.head(of: reply, isOpen: true))), promise: nil)
    context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: reply.body)))), promise: nil)
    guard let held = seat.begin(context.channel) else { return end(exchange, context) }
    let end = NIODeadline.now() + .seconds(Int64.random(in: Self.listeningTime))
    state = .listening(seat, exchange, until: end)
    setTimer(min(Self.heartbeat, end - .now()), context)
    if inputHasEnded { return context.close(promise: nil) }
    if !held.isEmpty { tell(ByteBuffer(bytes: held), seat, context) }
  }

  private func tell(_ bytes: ByteBuffer, _ seat: Seat, _ context: ChannelHandlerContext) {
    context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(bytes)))).whenComplete { _ in
      seat.sent(bytes.readableBytes)
    }
  }

  private func stopListening(_ seat: Seat, _ exchange: Exchange, _ context: ChannelHandlerContext) {
    seat.leave()
    end(exchange, context)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch (event, state) {
    case (let text as Seat.Text, .listening(let seat, _, _)):
      if text.number == seat.number { tell(text.bytes, seat, context) }
    case (is Seat.Ended, .listening(let seat, let exchange, _)): stopListening(seat, exchange, context)
    case (is RequestStart.Began, .waiting):
      hasBegun = true
      setTimer(headTime, context)
    case (ChannelEvent.inputClosed, .answering): inputHasEnded = true
    case (ChannelEvent.inputClosed, _): context.close(promise: nil)
    default: break
    }
    context.fireUserInboundEventTriggered(event)
  }

  /// What the parser refuses is answered and ends the connection; what the socket reports just ends it.
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard error is HTTPParserError else {
      if case .closing = state { return }
      return context.close(promise: nil)
    }
    let exchange: Exchange
    switch state {
    case .waiting: exchange = .unreadable
    case .reading(let current, _): exchange = current
    case .answering, .listening, .closing: return
    }
    switch start.fault {
    case _ where isLate: refuse(Problem(.timeout, "the head of the request took too long"), exchange, context)
    case .malformed(let reason): refuse(Problem(.badInput, reason), exchange, context)
    case .lineTooLong:
      let limit = responder.budgets.requestLine
      refuse(Problem(.targetTooLong, "the request line is longer than \(limit) bytes"), exchange, context)
    case .headersTooLarge:
      let (fields, limit) = (FramingScanner.fieldLimit, responder.budgets.headers)
      let problem = Problem(.headersTooLarge, "the headers are more than \(fields) fields or \(limit) bytes")
      refuse(problem, exchange, context)
    case .unknownMethod(let method, let target):
      write(Answer(reply: responder.refuse(method, target, requestID: exchange.requestID)), exchange, context)
    case nil: refuse(Problem(.badInput, "the request is no valid HTTP"), exchange, context)
    }
  }

  private func setTimer(_ time: TimeAmount, _ context: ChannelHandlerContext) {
    deadline = .now() + time
    look(by: .now() + min(time, headTime), context)
  }

  /// Sees to it that the timer looks at this time or before.
  private func look(by time: NIODeadline, _ context: ChannelHandlerContext) {
    if let timer, timer.time <= time { return }
    timer?.scheduled.cancel()
    timer = (time, context.eventLoop.assumeIsolated().scheduleTask(deadline: time) { self.look(context) })
  }

  private func look(_ context: ChannelHandlerContext) {
    timer = nil
    guard let deadline else { return }
    if deadline <= .now() { timeIsUp(context) } else { look(by: min(deadline, .now() + headTime), context) }
  }

  private func timeIsUp(_ context: ChannelHandlerContext) {
    switch state {
    case .waiting where hasBegun:
      // NIO's pipelining lets no reply pass before a head, except after an error of the parser.
      isLate = true
      context.pipeline.syncOperations.fireErrorCaught(HTTPParserError.unknown)
    case .reading(let exchange, _): refuse(Problem(.timeout, "the body took too long"), exchange, context)
    case .waiting, .closing: context.close(promise: nil)
    case .listening(let seat, let exchange, let end) where end <= .now(): stopListening(seat, exchange, context)
    case .listening(_, _, let end):
      context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: ":\n\n")))), promise: nil)
      setTimer(min(Self.heartbeat, end - .now()), context)
    case .answering: break
    }
  }
}
