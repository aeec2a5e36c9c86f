// GET /api/admin/conversations: the panel's list of conversations, filtered and sorted, paged by number or by cursor.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-list", "Lists conversations", .init("GET", "/api/admin/conversations"),
  input: .init(query: ConversationSearch.listForm),
  output: .init(ConversationSearch.page(of: Conversation.listed, [.init("page", ["type": "integer"])])),
  needs: [.officeHours], calls: .listConversations, argument: ConversationSearch.withTimeZone
).handler
