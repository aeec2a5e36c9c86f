/// Decides which subscriber of a live feed gets which events. The time is given, and it has no socket.
///
/// A subscriber is registered before its handler is asked. Events that the feed publishes meanwhile are held for it, and those
/// that the handler's reply contains already are left out. So no event is missing and none is sent twice.
struct LiveSubscribers<Output: Sendable>: Sendable {
  typealias Time = ContinuousClock.Instant

  enum Acceptance: Sendable, Equatable {
    case accepted
    /// The feed may have started after the subscriber's cursor: its handler must be asked again, from there.
    case askAgain
    case full
    case closed
  }

  /// What one subscriber gets now.
  struct Push: Sendable {
    let number: Int
    let output: Output
    let text: EventText
  }

  /// Events, and a cursor behind them where the events alone do not say how far they go, because some were left out.
  struct EventText: Sendable {
    let events: ArraySlice<FeedEvent>
    let cursor: [UInt8]

    var bytes: [UInt8] { events.flatMap(\.text) + cursor }
    var size: Int { events.reduce(cursor.count) { $0 + $1.text.count } }
  }

  private struct Registration: Sendable {
    /// The run of the feed in which it was made; nil where the feed did not run.
    let run: Int?
    var isAccepted = false
    /// Nil until its reply is written.
    var output: Output?
    /// The numbers of the events that its handler's reply contains.
    var seen: Set<Int> = []
    var held: [FeedEvent] = []
    /// Bytes that are held for it, or were sent and are not yet taken by its client.
    var unsent = 0
    var isOverrun = false
  }

  /// How many subscribers a feed has.
  static var capacity: Int { 1024 }
  /// How many unsent bytes a subscriber may have.
  static var bufferLimit: Int { 1_048_576 }
  /// How long the feed runs without a subscriber. Most clients come back at once.
  static var idleTime: Duration { .seconds(5) }

  private var registrations: [Int: Registration] = [:]
  private var lastNumber = 0
  private(set) var accepted = 0
  private(set) var dropped = 0
  private var isClosed = false
  /// The cursor behind the last published events; nil while the feed does not run.
  private(set) var cursor: String?
  /// The cursor at which the present run of the feed began, and the number of the run.
  private var startCursor: String?
  private var run = 0
  private var idleSince: Time?

  // MARK: - Subscribers

  /// Registers a subscriber whose handler is about to be asked. Returns its number.
  mutating func register() -> Int {
    lastNumber += 1
    registrations[lastNumber] = Registration(run: cursor == nil ? nil : run)
    return lastNumber
  }

  /// The subscriber's handler has let it in. It stays registered only if it is accepted.
  mutating func accept(_ number: Int, at position: FeedPosition) -> Acceptance {
    guard let registration = registrations[number] else { return isClosed ? .closed : .askAgain }
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
    // It registered in the present run of the feed, or it starts the run: no event can be missing.
    return cursor == nil || registration.run == run || position.cursor == startCursor ? .accepted : .askAgain
  }

  /// The subscriber's reply is being written: returns the events that were held for it. Nil where they were too many, so that
  /// its client must connect again.
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

  /// The subscriber's client has taken this number of bytes.
  mutating func sent(_ number: Int, _ bytes: Int) { registrations[number]?.unsent -= bytes }

  mutating func remove(_ number: Int) {
    if let registration = registrations.removeValue(forKey: number) { removed(registration) }
  }

  private mutating func removed(_ registration: Registration) { if registration.isAccepted { accepted -= 1 } }

  /// Removes all subscribers and accepts none from now on. Returns their outputs.
  mutating func close() -> [Output] {
    isClosed = true
    return removeAll()
  }

  /// Removes all subscribers, because the feed cannot continue for them. Their clients come back, each with its own cursor.
  mutating func removeAll() -> [Output] {
    defer {
      registrations.removeAll()
      accepted = 0
      stop()
    }
    return registrations.values.compactMap(\.output)
  }

  // MARK: - The feed

  /// The cursor from which the feed must be asked now. Nil when there has been no subscriber for a while: then the feed stops.
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

  /// The feed has answered, asked from `asked`. Returns what the subscribers get, and which of them are dropped because their
  /// clients do not read.
  mutating func publish(_ batch: FeedBatch, after asked: String) -> (pushes: [Push], dropped: [Output]) {
    // All subscribers may have been removed meanwhile.
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

  private func unseen(_ events: ArraySlice<FeedEvent>, by registration: Registration) -> EventText {
    let isNew = { (event: FeedEvent) in event.number.map { !registration.seen.contains($0) } ?? true }
    if registration.seen.isEmpty || events.allSatisfy(isNew) { return EventText(events: events, cursor: []) }
    let new = events.filter(isNew)
    return EventText(events: new[...], cursor: new.isEmpty ? [] : Array("id: \(cursor ?? "")\n\n".utf8))
  }
}
