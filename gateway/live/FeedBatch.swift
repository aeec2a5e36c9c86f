import Contract
import Wire

/// An event of a live feed as its subscribers receive it: a block of a `text/event-stream`.
struct FeedEvent: Sendable, Equatable {
  /// The event's number, unique in the feed; nil for an event that every subscriber gets, whatever it has seen.
  let number: Int?
  let text: [UInt8]
}

/// The reply of a feed: `{"events": [{"seq": 7, "text": "event: …\n\n"}], "cursor": "…"}`. The cursor points to the end
/// of these events.
struct FeedBatch: Sendable, Equatable {
  let events: [FeedEvent]
  let cursor: String
}

extension FeedBatch {
  /// Parses the body of a reply. Nil if it is not a batch.
  init?(reading body: [UInt8]) {
    let document: JSON
    do { document = try JSON(readingReply: body) } catch { return nil }
    guard let cursor = document["cursor"]?.string, let events = document["events"]?.array else { return nil }
    self.cursor = cursor
    self.events = events.compactMap { event in
      event["text"]?.string.map { FeedEvent(number: event["seq"]?.integer, text: Array($0.utf8)) }
    }
    guard self.events.count == events.count else { return nil }
  }
}

/// The position at which the feed continues after the reply of an endpoint's handler: the cursor, and the numbers of
/// the events after the cursor that are already in the reply.
struct FeedPosition: Sendable, Equatable {
  let cursor: String
  let seen: Set<Int>

  init(cursor: String, seen: Set<Int> = []) {
    self.cursor = cursor
    self.seen = seen
  }

  /// Reads and removes the two headers that hold the position, because they are not for the client. Nil if the reply
  /// does not begin a stream.
  init?(takenFrom reply: inout Reply) {
    let cursor = reply.headers.removeValue(forKey: "feed-after")
    let seen = reply.headers.removeValue(forKey: "feed-seen") ?? ""
    guard reply.status == 200, reply.headers["content-type"]?.hasPrefix("text/event-stream") == true, let cursor
    else { return nil }
    self.cursor = cursor
    self.seen = Set(seen.split(separator: ",").compactMap { Int(strict: $0) })
  }
}
