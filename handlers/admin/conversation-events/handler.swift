// GET /api/admin/conversations/{id}/events: lists a conversation's events, newest first.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "conversation-events", "Lists a conversation's events, newest first",
  .init("GET", "/api/admin/conversations/{id}/events"), input: .init(query: Page.form),
  output: .init(Page.schema(Event.schema)), calls: .listConversationEvents
).handler
