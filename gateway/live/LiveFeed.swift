import Handler
import Host
import NIOCore
import Synchronization
import Wire

/// A step that says what is new, for all who listen to an endpoint: one process, asked again and again while anybody listens.
final class Feed: Sendable {
  private struct State: Sendable {
    var audience = Audience<any Channel>()
    var isAsking = false
    /// Answers in a row that were none.
    var failures = 0
  }

  private static let firstPause = Duration.milliseconds(200)
  private static let longestPause = Duration.seconds(5)

  let pool: StreamPool
  private let loop: any EventLoop
  private let log: Log
  private let state = Mutex(State())

  init(_ pool: StreamPool, on loop: any EventLoop, log: Log) {
    self.pool = pool
    self.loop = loop
    self.log = log.with("handler", pool.handler.description.name)
  }

  var counts: (listeners: Int, dropped: Int) { state.withLock { ($0.audience.admitted, $0.audience.dropped) } }

  // MARK: - For connections

  /// To be called before the handler of an endpoint is asked for somebody who wants to listen.
  func register() -> Seat { Seat(feed: self, number: state.withLock { $0.audience.register() }) }

  fileprivate func admit(_ number: Int, _ ticket: FeedTicket) -> Audience<any Channel>.Admission {
    let (admission, mustAsk) = state.withLock { state in
      let admission = state.audience.admit(number, ticket)
      let mustAsk = admission == .taken && !state.isAsking
      if mustAsk { state.isAsking = true }
      return (admission, mustAsk)
    }
    if mustAsk { loop.execute { self.ask() } }
    return admission
  }

  fileprivate func begin(_ number: Int, _ channel: any Channel) -> [UInt8]? {
    state.withLock { $0.audience.begin(number, channel) }?.bytes
  }

  fileprivate func sent(_ number: Int, _ bytes: Int) { state.withLock { $0.audience.sent(number, bytes) } }

  fileprivate func leave(_ number: Int) { state.withLock { $0.audience.leave(number) } }

  /// Ends all streams, and begins none any more.
  func close() { for channel in state.withLock({ $0.audience.close() }) { Self.end(channel) } }

  private static func end(_ channel: any Channel) { channel.pipeline.fireUserInboundEventTriggered(Seat.Ended()) }

  // MARK: - Asking

  private func ask() {
    let cursor = state.withLock { state in
      let cursor = state.audience.next(at: .now)
      state.isAsking = cursor != nil
      return cursor
    }
    guard let cursor else { return pool.rest() }
    pool.ask(["after": .string(cursor)], on: loop).whenSuccess { self.take($0, after: cursor) }
  }

  private func take(_ result: HandlerResult, after cursor: String) {
    do throws(HandlerFailure) {
      let reply = try result.reply()
      if reply.status == 200, let batch = FeedBatch(reading: reply.body) {
        state.withLock { $0.failures = 0 }
        publish(batch, after: cursor)
        return ask()
      }
      // What it refuses now it would refuse for ever.
      if 400..<500 ~= reply.status { for channel in state.withLock({ $0.audience.scatter() }) { Self.end(channel) } }
      pause("it answered \(reply.status)")
    } catch { pause(error.reason) }
  }

  /// The listeners stay: it goes on where it was.
  private func pause(_ reason: String) {
    let failures = state.withLock { state in
      state.failures += 1
      return state.failures
    }
    if failures == 1 { log.warn("A feed is interrupted", ["reason": reason]) }
    let pause = min(Self.firstPause * (1 << min(failures - 1, 10)), Self.longestPause)
    loop.scheduleTask(in: .milliseconds(Int64(pause.milliseconds))) { self.ask() }
  }

  private func publish(_ batch: FeedBatch, after cursor: String) {
    let (deliveries, dropped) = state.withLock { $0.audience.publish(batch, after: cursor) }
    for channel in dropped { channel.close(mode: .all, promise: nil) }
    // Most get the same bytes: they are put together once.
    let whole = ByteBuffer(bytes: batch.events.flatMap(\.text))
    for (_, own) in Dictionary(grouping: deliveries, by: { ObjectIdentifier($0.place.eventLoop) }) {
      own[0].place.eventLoop.execute {
        for delivery in own {
          let isWhole = delivery.text.events.count == batch.events.count
          let text = isWhole ? whole : ByteBuffer(bytes: delivery.text.bytes)
          delivery.place.pipeline.fireUserInboundEventTriggered(Seat.Text(number: delivery.number, bytes: text))
        }
      }
    }
  }
}

/// A place before a feed, from before its handler is asked until its stream ends.
struct Seat: Sendable {
  /// Sent up the pipeline of a connection that listens: more for this seat.
  struct Text: Sendable {
    let number: Int
    let bytes: ByteBuffer
  }

  /// The same: its stream must end.
  struct Ended: Sendable {}

  fileprivate let feed: Feed
  let number: Int

  /// Only after `taken` is the seat still there.
  func admit(_ ticket: FeedTicket) -> Audience<any Channel>.Admission { feed.admit(number, ticket) }

  /// What has come for it since it was there, to be written behind its reply. Nil where its stream must end with that.
  func begin(_ channel: any Channel) -> [UInt8]? { feed.begin(number, channel) }

  /// The client has taken so many bytes of it.
  func sent(_ bytes: Int) { feed.sent(number, bytes) }

  func leave() { feed.leave(number) }
}
