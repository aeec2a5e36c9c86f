// GET /api/admin/conversations/{id}/events: the events of a conversation, newest first.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-events", "The events of a conversation, newest first",
  .init("GET", "/api/admin/conversations/{id}/events"), input: .init(query: Page.form),
  output: .init(Page.schema(Event.schema)), calls: .listConversationEvents
).run()
