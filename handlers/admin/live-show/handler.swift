// GET /api/admin/live: streams changes to leads as they happen. This handler sends the events that the client has
// missed; live-feed continues the stream.
import Admin
import Contract
import Forms
import Store
import StoreAccess
import Wire

let lastEventID = Field.optional("lastEventId", .text(1...8000))

package let handler = AdminEndpoint(
  // For clients that cannot send Last-Event-ID.
  "live-show",
  "Streams changes to leads as server-sent events: lead.created, lead.updated, delivery, sla, reset, hello",
  .init("GET", "/api/admin/live"),
  input: .init(
    query: Form([lastEventID]),
    headers: ["type": "object", "properties": ["Last-Event-ID": ["type": "string", "maxLength": 8000]]]),
  output: .init(Live.event, types: ["text/event-stream"], problems: [503]), needs: [.officeHours], feed: "live-feed",
  calls: .liveEvents,
  argument: { checked throws(Problem) in
    let header = checked.request.headers["last-event-id"].flatMap { $0.isEmpty ? nil : $0 }
    let after = header ?? checked.values[lastEventID]
    return after.map { ["after": .string($0), "recent": true] } ?? ["recent": true]
  }, reply: Live.beginning
).handler
