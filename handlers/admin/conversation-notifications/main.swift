// GET /api/admin/conversations/{id}/notifications: what was, is and will be sent about a conversation, newest first.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-notifications", "The notifications about a conversation, newest first",
  .init("GET", "/api/admin/conversations/{id}/notifications"), input: .init(query: Page.form),
  output: .init(Page.schema(NotificationResource.schema)), calls: .listConversationDeliveries
).run()
