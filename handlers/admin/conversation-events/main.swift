// GET /api/admin/conversations/{id}/events: the events of a conversation, newest first.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-events", "The events of a conversation, newest first",
  .init("GET", "/api/admin/conversations/{id}/events"),
  query: Page.form, output: Page.schema(Event.schema), calls: .listConversationEvents
).run()
