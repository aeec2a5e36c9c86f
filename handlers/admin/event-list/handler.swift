// GET /api/admin/events: lists the event log, newest first.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "event-list", "Lists events, newest first", .init("GET", "/api/admin/events"), input: .init(query: Event.listForm),
  output: .init(Page.schema(Event.schema)), calls: .listEvents
).handler
