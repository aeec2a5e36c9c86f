import Contract
import Wire

/// Changes to leads as a `text/event-stream` (HTML standard, Server-sent events).
package enum Live {
  /// The delay before a client reconnects, in milliseconds. It is random, so that clients do not all reconnect at once
  /// after a gateway has stopped.
  private static let retry = 1000...1999

  /// The JSON Schema of an event.
  package static let event: JSON = [
    "type": "object", "required": ["event", "id", "data"],
    "properties": [
      "event": ["enum": ["lead.created", "lead.updated", "sla", "delivery", "reset", "hello"]],
      "id": ["type": "string"],
      "data": ["type": "string", "contentMediaType": "application/json", "contentSchema": data],
    ],
  ]

  private static let data: JSON = [
    "type": "object",
    "properties": [
      "id": Schema.uuid, "type": ["type": "string"], "at": Schema.time, "conversationId": Schema.perhapsUUID,
      "conversation": Conversation.schema(), "deliveryId": Schema.uuid, "channel": ["type": "string"],
      "status": ["enum": ["sent", "failed", "delivered"]], "reason": Schema.perhapsText,
    ],
  ]

  /// Returns the beginning of a stream, with the events that the client has missed, from the result of `live_events`.
  /// If the result is complete, the headers give the gateway the cursor at which its feed continues; otherwise the
  /// client reconnects for the rest.
  package static func beginning(_ answer: JSON, _ request: Request) throws(Problem) -> Reply {
    let cursor = try cursor(answer, "cursor")
    let events = try events(answer)
    // A block with an empty id would make the client forget the id that it has.
    let from = try self.cursor(answer, "from")
    var text = "retry: \(Int.random(in: retry))\n" + hello(from) + events.map(\.text).joined()
    var headers = ["content-type": "text/event-stream", "x-accel-buffering": "no"]
    if answer["isComplete"]?.bool == true {
      text += hello(cursor)
      headers["feed-after"] = cursor
      let seen = events.compactMap(\.seq) + (answer["recent"]?.array ?? []).compactMap(\.integer)
      headers["feed-seen"] = Set(seen).sorted().map(String.init).joined(separator: ",")
    }
    return Reply(status: 200, headers: headers, body: Array(text.utf8))
  }

  /// Returns the same events as the reply of a step to the gateway, which sends them to all clients.
  package static func batch(_ answer: JSON) throws(Problem) -> Reply {
    let events = try events(answer).map { ["seq": $0.seq.map { JSON($0) } ?? .null, "text": .string($0.text)] as JSON }
    return Reply(["events": .array(events), "cursor": .string(try cursor(answer, "cursor"))])
  }

  /// True if the result of `live_events` has events or a reset.
  package static func isNews(_ answer: JSON) -> Bool {
    answer["events"]?.array?.isEmpty == false || answer["isReset"]?.bool == true
  }

  private static func events(_ answer: JSON) throws(Problem) -> [(seq: Int?, text: String)] {
    if answer["isReset"]?.bool == true {
      let data: JSON = ["reason": "earlier events are not available: reload all data"]
      return [(nil, block("reset", id: try cursor(answer, "cursor"), data))]
    }
    return (answer["events"]?.array ?? []).compactMap { event in
      guard let name = event["event"]?.string, let id = event["id"]?.string, let data = event["data"] else {
        return nil
      }
      return (event["seq"]?.integer, block(name, id: id, data))
    }
  }

  /// An event that only gives the client an id to resume from. Firefox and WebKit ignore an id in a block without data.
  private static func hello(_ cursor: String) -> String { block("hello", id: cursor, [:]) }

  private static func block(_ name: String, id: String, _ data: JSON) -> String {
    "event: \(name)\nid: \(id)\ndata: \(data.text)\n\n"
  }

  private static func cursor(_ answer: JSON, _ name: String) throws(Problem) -> String {
    guard let cursor = answer[name]?.string else { throw Problem.internalError("the database returned no \(name)") }
    return cursor
  }
}
