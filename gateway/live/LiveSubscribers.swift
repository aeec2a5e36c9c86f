/// Who listens to a feed, who is about to, and what each of them gets: the decisions, given the time, without a socket.
///
/// A listener is registered before its handler is asked. What the feed says meanwhile is held for it, and what its reply holds
/// already is left out, so that between the two nothing is missing and nothing comes twice.
struct Audience<Place: Sendable>: Sendable {
  typealias Time = ContinuousClock.Instant

  enum Admission: Sendable, Equatable {
    case taken
    /// The feed may have begun behind the cursor: its handler must be asked again, from there.
    case askAgain
    case full
    case closed
  }

  /// What a listener gets now.
  struct Delivery: Sendable {
    let number: Int
    let place: Place
    let text: Text
  }

  /// Events, and behind them the cursor where they alone would not say how far it goes: some were left out that it has had.
  struct Text: Sendable {
    let events: ArraySlice<FeedEvent>
    let cursor: [UInt8]

    var bytes: [UInt8] { events.flatMap(\.text) + cursor }
    var size: Int { events.reduce(cursor.count) { $0 + $1.text.count } }
  }

  private struct Member: Sendable {
    /// The stretch of the feed in which it was registered; nil where the feed stood still.
    let stretch: Int?
    var isAdmitted = false
    /// Nil until its reply is being written.
    var place: Place?
    var seen: Set<Int> = []
    var held: [FeedEvent] = []
    /// Bytes that it was given, or that are held for it, and that its client has not taken.
    var unsent = 0
    var isOverrun = false
  }

  static var places: Int { 1024 }
  /// How many bytes a listener may have before it.
  static var patience: Int { 1_048_576 }
  /// How long the feed goes on when nobody listens: most come again at once.
  static var linger: Duration { .seconds(5) }

  private var members: [Int: Member] = [:]
  private var lastNumber = 0
  private(set) var admitted = 0
  private(set) var dropped = 0
  private var isClosed = false
  /// Up to where the feed has told; nil while it stands still.
  private(set) var position: String?
  /// Where it began, and how often it has.
  private var beginning: String?
  private var stretch = 0
  private var emptySince: Time?

  // MARK: - Listeners

  /// Somebody is about to ask: its number.
  mutating func register() -> Int {
    lastNumber += 1
    members[lastNumber] = Member(stretch: position == nil ? nil : stretch)
    return lastNumber
  }

  /// Its handler has let it in; only after `taken` is it still registered.
  mutating func admit(_ number: Int, _ ticket: FeedTicket) -> Admission {
    guard let member = members[number] else { return isClosed ? .closed : .askAgain }
    let admission = judge(member, ticket)
    guard admission == .taken else {
      members[number] = nil
      return admission
    }
    if position == nil {
      stretch += 1
      (position, beginning) = (ticket.cursor, ticket.cursor)
    }
    members[number]?.isAdmitted = true
    members[number]?.seen = ticket.seen
    admitted += 1
    emptySince = nil
    return .taken
  }

  private func judge(_ member: Member, _ ticket: FeedTicket) -> Admission {
    if isClosed { return .closed }
    if admitted >= Self.places { return .full }
    // Asked while the feed was running, or the first: nothing can be missing.
    return position == nil || member.stretch == stretch || ticket.cursor == beginning ? .taken : .askAgain
  }

  /// Its reply is being written: the events that were held for it. Nil where they were too many, so that it must come again.
  mutating func begin(_ number: Int, _ place: Place) -> Text? {
    guard var member = members.removeValue(forKey: number), !isClosed else { return nil }
    guard !member.isOverrun else {
      leave(member)
      return nil
    }
    let text = unseen(member.held[...], by: member)
    (member.place, member.held, member.unsent) = (place, [], text.size)
    members[number] = member
    return text
  }

  /// Its client has taken so many bytes.
  mutating func sent(_ number: Int, _ bytes: Int) { members[number]?.unsent -= bytes }

  mutating func leave(_ number: Int) { if let member = members.removeValue(forKey: number) { leave(member) } }

  private mutating func leave(_ member: Member) { if member.isAdmitted { admitted -= 1 } }

  /// Sends everybody away, and lets nobody in any more: who they were.
  mutating func close() -> [Place] {
    isClosed = true
    return scatter()
  }

  /// Sends everybody away: the feed does not know how to go on for them. They come again, each with its own cursor.
  mutating func scatter() -> [Place] {
    defer {
      members.removeAll()
      admitted = 0
      stop()
    }
    return members.values.compactMap(\.place)
  }

  // MARK: - The feed

  /// From where the feed is to be asked now; nil when nobody has listened for a while: it stands still from then on.
  mutating func next(at now: Time) -> String? {
    if admitted > 0 {
      emptySince = nil
    } else if let emptySince, now - emptySince >= Self.linger {
      stop()
    } else if emptySince == nil {
      emptySince = now
    }
    return position
  }

  private mutating func stop() { (position, beginning, emptySince) = (nil, nil, nil) }

  /// The feed has told more, asked from `cursor`: who gets it, and who is dropped because of what it has not taken yet.
  mutating func publish(_ batch: FeedBatch, after cursor: String) -> (deliveries: [Delivery], dropped: [Place]) {
    // Everybody has been sent away meanwhile: it is nobody's.
    guard position == cursor else { return ([], []) }
    position = batch.cursor
    guard !batch.events.isEmpty else { return ([], []) }
    var deliveries: [Delivery] = []
    var late: [Place] = []
    for (number, var member) in members {
      guard let place = member.place else {
        hold(batch.events, for: number)
        continue
      }
      let text = unseen(batch.events[...], by: member)
      member.unsent += text.size
      if member.unsent > Self.patience {
        leave(number)
        dropped += 1
        late.append(place)
      } else if text.size > 0 {
        members[number] = member
        deliveries.append(Delivery(number: number, place: place, text: text))
      }
    }
    return (deliveries, late)
  }

  private mutating func hold(_ events: [FeedEvent], for number: Int) {
    members[number]?.held += events
    members[number]?.unsent += events.reduce(0) { $0 + $1.text.count }
    guard let unsent = members[number]?.unsent, unsent > Self.patience else { return }
    members[number]?.held = []
    members[number]?.isOverrun = true
  }

  private func unseen(_ events: ArraySlice<FeedEvent>, by member: Member) -> Text {
    let isNew = { (event: FeedEvent) in event.number.map { !member.seen.contains($0) } ?? true }
    if member.seen.isEmpty || events.allSatisfy(isNew) { return Text(events: events, cursor: []) }
    let new = events.filter(isNew)
    return Text(events: new[...], cursor: new.isEmpty ? [] : Array("id: \(position ?? "")\n\n".utf8))
  }
}
