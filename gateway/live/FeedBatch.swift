import Handler
import Wire

/// An event of a feed as its listeners get it: a block of a `text/event-stream`.
struct FeedEvent: Sendable, Equatable {
  /// No other event of the feed has it; nil for what all must hear, whatever they have had.
  let number: Int?
  let text: [UInt8]
}

/// What a feed answers: `{"events": [{"seq": 7, "text": "event: …\n\n"}], "cursor": "…"}`. The cursor stands behind these events.
struct FeedBatch: Sendable, Equatable {
  let events: [FeedEvent]
  let cursor: String
}

extension FeedBatch {
  /// Nil where the body of a reply is none.
  init?(reading body: [UInt8]) {
    let document: JSON
    do { document = try JSON(reading: body) } catch { return nil }
    guard let cursor = document["cursor"]?.string, let events = document["events"]?.array else { return nil }
    self.cursor = cursor
    self.events = events.compactMap { event in
      event["text"]?.string.map { FeedEvent(number: event["seq"]?.integer, text: Array($0.utf8)) }
    }
    guard self.events.count == events.count else { return nil }
  }
}

/// What the handler of an endpoint says to the gateway about the feed behind its reply: from where it goes on, and which of the
/// feed's events are in the reply already.
struct FeedTicket: Sendable, Equatable {
  let cursor: String
  let seen: Set<Int>

  init(cursor: String, seen: Set<Int> = []) {
    self.cursor = cursor
    self.seen = seen
  }

  /// Takes the two headers out of the reply, which are for no client. Nil where it is no beginning of a stream.
  init?(takenFrom reply: inout Reply) {
    let cursor = reply.headers.removeValue(forKey: "feed-after")
    let seen = reply.headers.removeValue(forKey: "feed-seen") ?? ""
    guard reply.status == 200, reply.headers["content-type"]?.hasPrefix("text/event-stream") == true, let cursor
    else { return nil }
    self.cursor = cursor
    self.seen = Set(seen.split(separator: ",").compactMap { Int(strict: $0) })
  }
}
