// GET /api/admin/events: lists the event log, newest first.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "event-list", "Lists events, newest first", .init("GET", "/api/admin/events"), input: .init(query: Event.listForm),
  output: .init(Page.schema(Event.schema)), calls: .listEvents
).run()
