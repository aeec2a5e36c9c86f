// GET /api/admin/conversations/{id}/messages: what was written, in its order.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-messages", "The messages of a conversation, in their order",
  .init("GET", "/api/admin/conversations/{id}/messages"), input: .init(query: Page.form),
  output: .init(Page.schema(Conversation.message)), calls: .listMessages
).run()
