// GET /api/admin/conversations/{id}/messages: lists a conversation's messages in order.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "conversation-messages", "Lists a conversation's messages in order",
  .init("GET", "/api/admin/conversations/{id}/messages"), input: .init(query: Page.form),
  output: .init(Page.schema(Conversation.message)), calls: .listMessages
).handler
