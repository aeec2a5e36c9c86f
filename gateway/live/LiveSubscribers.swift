/// Decides which subscriber of a live feed gets which events. The caller passes the time; this type uses no sockets.
///
/// A subscriber is registered before the endpoint's handler is called. Events that the feed publishes during the call
/// are held for it. Those that the handler's reply already contains are left out. So no event is missing and none is
/// sent twice.
struct LiveSubscribers<Output: Sendable>: Sendable {
  typealias Time = ContinuousClock.Instant

  enum Acceptance: Sendable, Equatable {
    case accepted
    /// The feed may have started after the subscriber's cursor. Its handler must be called again, from that cursor.
    case repeatCall
    case full
    case closed
  }

  /// The events that one subscriber gets now.
  struct Push: Sendable {
    let number: Int
    let output: Output
    let text: EventText
  }

  /// Events. If some were left out, so that the events do not show how far they reach, a cursor follows them.
  struct EventText: Sendable {
    let events: ArraySlice<FeedEvent>
    let cursor: [UInt8]

    var bytes: [UInt8] { events.flatMap(\.text) + cursor }
    var size: Int { events.reduce(cursor.count) { $0 + $1.text.count } }
  }

  private struct Registration: Sendable {
    /// The run of the feed in which it was created; nil if the feed was not running.
    let run: Int?
    var isAccepted = false
    /// Nil until its reply is written.
    var output: Output?
    /// The numbers of the events that its handler's reply contains.
    var seen: Set<Int> = []
    var held: [FeedEvent] = []
    /// The number of bytes that are held for it, or were sent and are not yet written to its client.
    var unsent = 0
    var isOverrun = false
  }

  /// The maximum number of subscribers of a feed.
  static var capacity: Int { 1024 }
  /// The maximum number of unsent bytes of a subscriber.
  static var bufferLimit: Int { 1_048_576 }
  /// How long the feed runs without a subscriber. Most clients reconnect at once.
  static var idleTime: Duration { .seconds(5) }

  private var registrations: [Int: Registration] = [:]
  private var lastNumber = 0
  private(set) var accepted = 0
  private(set) var dropped = 0
  private var isClosed = false
  /// The cursor after the last published events; nil while the feed is not running.
  private(set) var cursor: String?
  /// The cursor at which the current run of the feed began, and the number of the run.
  private var startCursor: String?
  private var run = 0
  private var idleSince: Time?

  // MARK: - Subscribers

  /// Registers a subscriber before its handler is called. Returns its number.
  mutating func register() -> Int {
    lastNumber += 1
    registrations[lastNumber] = Registration(run: cursor == nil ? nil : run)
    return lastNumber
  }

  /// Accepts a subscriber that its handler has admitted. It stays registered only if the result is `accepted`.
  mutating func accept(_ number: Int, at position: FeedPosition) -> Acceptance {
    guard let registration = registrations[number] else { return isClosed ? .closed : .repeatCall }
    let acceptance = judge(registration, position)
    guard acceptance == .accepted else {
      registrations[number] = nil
      return acceptance
    }
    if cursor == nil {
      run += 1
      (cursor, startCursor) = (position.cursor, position.cursor)
    }
    registrations[number]?.isAccepted = true
    registrations[number]?.seen = position.seen
    accepted += 1
    idleSince = nil
    return .accepted
  }

  private func judge(_ registration: Registration, _ position: FeedPosition) -> Acceptance {
    if isClosed { return .closed }
    if accepted >= Self.capacity { return .full }
    // If it registered in the current run of the feed, or starts the run, no event can be missing.
    return cursor == nil || registration.run == run || position.cursor == startCursor ? .accepted : .repeatCall
  }

  /// Returns the events that were held for the subscriber, when its reply is written. Nil if there were too many; its
  /// client must then reconnect.
  mutating func start(_ number: Int, _ output: Output) -> EventText? {
    guard var registration = registrations.removeValue(forKey: number), !isClosed else { return nil }
    guard !registration.isOverrun else {
      removed(registration)
      return nil
    }
    let text = unseen(registration.held[...], by: registration)
    (registration.output, registration.held, registration.unsent) = (output, [], text.size)
    registrations[number] = registration
    return text
  }

  /// Records that this number of bytes has been written to the subscriber's client.
  mutating func sent(_ number: Int, _ bytes: Int) { registrations[number]?.unsent -= bytes }

  mutating func remove(_ number: Int) {
    if let registration = registrations.removeValue(forKey: number) { removed(registration) }
  }

  private mutating func removed(_ registration: Registration) { if registration.isAccepted { accepted -= 1 } }

  /// Removes all subscribers and accepts no further ones. Returns their outputs.
  mutating func close() -> [Output] {
    isClosed = true
    return removeAll()
  }

  /// Removes all subscribers, because the feed cannot continue for them. Returns their outputs. Their clients
  /// reconnect, each with its own cursor.
  mutating func removeAll() -> [Output] {
    defer {
      registrations.removeAll()
      accepted = 0
      stop()
    }
    return registrations.values.compactMap(\.output)
  }

  // MARK: - The feed

  /// Returns the cursor from which the next events must be requested. Nil if there has been no subscriber for the idle
  /// time; the feed then stops.
  mutating func nextCursor(at now: Time) -> String? {
    if accepted > 0 {
      idleSince = nil
    } else if let idleSince, now - idleSince >= Self.idleTime {
      stop()
    } else if idleSince == nil {
      idleSince = now
    }
    return cursor
  }

  private mutating func stop() { (cursor, startCursor, idleSince) = (nil, nil, nil) }

  /// Publishes the feed's reply to a request from the cursor `asked`. Returns what the subscribers get, and the outputs
  /// of subscribers that are dropped because their clients do not read.
  mutating func publish(_ batch: FeedBatch, after asked: String) -> (pushes: [Push], dropped: [Output]) {
    // All subscribers may have been removed in the meantime.
    guard cursor == asked else { return ([], []) }
    cursor = batch.cursor
    guard !batch.events.isEmpty else { return ([], []) }
    var pushes: [Push] = []
    var late: [Output] = []
    for (number, var registration) in registrations {
      guard let output = registration.output else {
        hold(batch.events, for: number)
        continue
      }
      let text = unseen(batch.events[...], by: registration)
      registration.unsent += text.size
      if registration.unsent > Self.bufferLimit {
        remove(number)
        dropped += 1
        late.append(output)
      } else if text.size > 0 {
        registrations[number] = registration
        pushes.append(Push(number: number, output: output, text: text))
      }
    }
    return (pushes, late)
  }

  private mutating func hold(_ events: [FeedEvent], for number: Int) {
    registrations[number]?.held += events
    registrations[number]?.unsent += events.reduce(0) { $0 + $1.text.count }
    guard let unsent = registrations[number]?.unsent, unsent > Self.bufferLimit else { return }
    registrations[number]?.held = []
    registrations[number]?.isOverrun = true
  }

  /// An event that only tells a client how far it has read. Browsers ignore an id without data.
  private static func hello(_ cursor: String) -> [UInt8] { Array("event: hello\nid: \(cursor)\ndata: {}\n\n".utf8) }

  private func unseen(_ events: ArraySlice<FeedEvent>, by registration: Registration) -> EventText {
    let isNew = { (event: FeedEvent) in event.number.map { !registration.seen.contains($0) } ?? true }
    if registration.seen.isEmpty || events.allSatisfy(isNew) { return EventText(events: events, cursor: []) }
    let new = events.filter(isNew)
    return EventText(events: new[...], cursor: new.isEmpty ? [] : Self.hello(cursor ?? ""))
  }
}
