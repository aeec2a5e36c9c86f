import Contract
import Wire

/// What happens to leads, as a `text/event-stream` (the HTML standard, Server-sent events) tells it.
package enum Live {
  /// After which a client whose stream has ended comes again, in milliseconds: not all of them at once, when a gateway stops.
  private static let retry = 1000...1999

  /// What each event is.
  package static let event: JSON = [
    "type": "object", "required": ["event", "id", "data"],
    "properties": [
      "event": ["enum": ["lead.created", "lead.updated", "sla", "delivery", "reset"]],
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

  /// The beginning of a stream, out of what `live_events` answers: what its reader has missed. Where that is all, a gateway is told
  /// from where its feed goes on; else the reader comes again for the rest.
  package static func beginning(_ answer: JSON, _ request: Request) throws(Problem) -> Reply {
    let cursor = try cursor(answer, "cursor")
    let events = try events(answer)
    // A block that names no id would make a reader forget the one that it has.
    let from = try self.cursor(answer, "from")
    var text = "retry: \(Int.random(in: retry))\nid: \(from)\n\n" + events.map(\.text).joined()
    var headers = ["content-type": "text/event-stream", "x-accel-buffering": "no"]
    if answer["isComplete"]?.bool == true {
      text += "id: \(cursor)\n\n"
      headers["feed-after"] = cursor
      let seen = events.compactMap(\.seq) + (answer["recent"]?.array ?? []).compactMap(\.integer)
      headers["feed-seen"] = Set(seen).sorted().map(String.init).joined(separator: ",")
    }
    return Reply(status: 200, headers: headers, body: Array(text.utf8))
  }

  /// The same as a step answers it to a gateway, which tells all who listen.
  package static func batch(_ answer: JSON) throws(Problem) -> Reply {
    let events = try events(answer).map { ["seq": $0.seq.map { JSON($0) } ?? .null, "text": .string($0.text)] as JSON }
    return Reply(["events": .array(events), "cursor": .string(try cursor(answer, "cursor"))])
  }

  /// Whether `live_events` has anything to tell.
  package static func isNews(_ answer: JSON) -> Bool {
    answer["events"]?.array?.isEmpty == false || answer["isReset"]?.bool == true
  }

  private static func events(_ answer: JSON) throws(Problem) -> [(seq: Int?, text: String)] {
    if answer["isReset"]?.bool == true {
      let data: JSON = ["reason": "what has happened since is not known: load everything anew"]
      return [(nil, block("reset", id: try cursor(answer, "cursor"), data))]
    }
    return (answer["events"]?.array ?? []).compactMap { event in
      guard let name = event["event"]?.string, let id = event["id"]?.string, let data = event["data"] else {
        return nil
      }
      return (event["seq"]?.integer, block(name, id: id, data))
    }
  }

  private static func block(_ name: String, id: String, _ data: JSON) -> String {
    "event: \(name)\nid: \(id)\ndata: \(data.text)\n\n"
  }

  private static func cursor(_ answer: JSON, _ name: String) throws(Problem) -> String {
    guard let cursor = answer[name]?.string else { throw Problem.internalError("the database returned no \(name)") }
    return cursor
  }
}
