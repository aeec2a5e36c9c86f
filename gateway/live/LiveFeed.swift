import Contract
import Host
import NIOCore
import Synchronization
import Wire

/// A live feed: repeatedly requests new events from one process of a step while an endpoint has subscribers.
final class LiveFeed: Sendable {
  private struct State: Sendable {
    var subscribers = LiveSubscribers<any Channel>()
    var isRequesting = false
    /// How many requests in a row have failed.
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

  var counts: (subscribers: Int, dropped: Int) {
    state.withLock { ($0.subscribers.accepted, $0.subscribers.dropped) }
  }

  // MARK: - For connections

  /// Registers a client that requests a subscription. Must be called before the endpoint's handler is called for it.
  func register() -> LiveSubscription {
    LiveSubscription(feed: self, number: state.withLock { $0.subscribers.register() })
  }

  fileprivate func accept(_ number: Int, at position: FeedPosition) -> LiveSubscribers<any Channel>.Acceptance {
    let (acceptance, mustRequest) = state.withLock { state in
      let acceptance = state.subscribers.accept(number, at: position)
      let mustRequest = acceptance == .accepted && !state.isRequesting
      if mustRequest { state.isRequesting = true }
      return (acceptance, mustRequest)
    }
    if mustRequest { loop.execute { self.requestEvents() } }
    return acceptance
  }

  fileprivate func start(_ number: Int, _ channel: any Channel) -> [UInt8]? {
    state.withLock { $0.subscribers.start(number, channel) }?.bytes
  }

  fileprivate func sent(_ number: Int, _ bytes: Int) { state.withLock { $0.subscribers.sent(number, bytes) } }

  fileprivate func remove(_ number: Int) { state.withLock { $0.subscribers.remove(number) } }

  /// Ends all streams and accepts no further subscribers.
  func close() { for channel in state.withLock({ $0.subscribers.close() }) { Self.end(channel) } }

  private static func end(_ channel: any Channel) {
    channel.pipeline.fireUserInboundEventTriggered(LiveSubscription.Ended())
  }

  // MARK: - Requests to the step

  private func requestEvents() {
    let cursor = state.withLock { state in
      let cursor = state.subscribers.nextCursor(at: .now)
      state.isRequesting = cursor != nil
      return cursor
    }
    guard let cursor else { return pool.retireProcesses() }
    pool.send(["after": .string(cursor)], on: loop).whenSuccess { self.take($0, after: cursor) }
  }

  private func take(_ result: HandlerResult, after cursor: String) {
    do throws(HandlerFailure) {
      let reply = try result.reply()
      if reply.status == 200, let batch = FeedBatch(reading: reply.body) {
        state.withLock { $0.failures = 0 }
        publish(batch, after: cursor)
        return requestEvents()
      }
      // The step would refuse the same cursor again.
      if 400..<500 ~= reply.status {
        for channel in state.withLock({ $0.subscribers.removeAll() }) { Self.end(channel) }
      }
      pause("the step replied with status \(reply.status)")
    } catch { pause(error.reason) }
  }

  /// Repeats the request later. The subscribers stay, and the feed continues at the same cursor.
  private func pause(_ reason: String) {
    let failures = state.withLock { state in
      state.failures += 1
      return state.failures
    }
    if failures == 1 { log.warn("A feed is interrupted", ["reason": reason]) }
    let pause = min(Self.firstPause * (1 << min(failures - 1, 10)), Self.longestPause)
    loop.scheduleTask(in: .milliseconds(Int64(pause.milliseconds))) { self.requestEvents() }
  }

  private func publish(_ batch: FeedBatch, after cursor: String) {
    let (pushes, dropped) = state.withLock { $0.subscribers.publish(batch, after: cursor) }
    for channel in dropped { channel.close(mode: .all, promise: nil) }
    // Most subscribers get the same bytes, so they are joined only once.
    let whole = ByteBuffer(bytes: batch.events.flatMap(\.text))
    for (_, group) in Dictionary(grouping: pushes, by: { ObjectIdentifier($0.output.eventLoop) }) {
      group[0].output.eventLoop.execute {
        for push in group {
          let isWhole = push.text.events.count == batch.events.count
          let bytes = isWhole ? whole : ByteBuffer(bytes: push.text.bytes)
          push.output.pipeline.fireUserInboundEventTriggered(
            LiveSubscription.Events(number: push.number, bytes: bytes))
        }
      }
    }
  }
}

/// The subscription of a client to a feed. It lasts from before the endpoint's handler is called until the stream ends.
struct LiveSubscription: Sendable {
  /// Fired in the pipeline of a subscriber's connection: more events for this subscription.
  struct Events: Sendable {
    let number: Int
    let bytes: ByteBuffer
  }

  /// Fired in the same pipeline: the stream must end.
  struct Ended: Sendable {}

  fileprivate let feed: LiveFeed
  let number: Int

  /// Accepts the subscription at a position of the feed. It stays registered only if the result is `accepted`.
  func accept(at position: FeedPosition) -> LiveSubscribers<any Channel>.Acceptance {
    feed.accept(number, at: position)
  }

  /// Returns the events that were held for it, to be written after its reply. Nil if the stream must end with it.
  func start(_ channel: any Channel) -> [UInt8]? { feed.start(number, channel) }

  /// Records that this number of bytes has been written to the client.
  func sent(_ bytes: Int) { feed.sent(number, bytes) }

  func end() { feed.remove(number) }
}
