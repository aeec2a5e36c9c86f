// GET /api/admin/conversations/{id}/notifications: lists a conversation's sent, current and pending notifications,
// newest first.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "conversation-notifications", "Lists a conversation's notifications, newest first",
  .init("GET", "/api/admin/conversations/{id}/notifications"), input: .init(query: Page.form),
  output: .init(Page.schema(NotificationResource.schema)), calls: .listConversationDeliveries
).handler
