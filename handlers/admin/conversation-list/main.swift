// GET /api/admin/conversations: the list of the panel, filtered and sorted, by pages or by cursors.
import Admin
import Contract
import Store
import StoreAccess
import Wire

AdminEndpoint(
  "conversation-list", "Lists conversations", .init("GET", "/api/admin/conversations"),
  input: .init(query: ConversationSearch.listForm),
  output: .init(ConversationSearch.page(of: Conversation.schema(), [.init("page", ["type": "integer"])])),
  needs: [.officeHours], calls: .listConversations, asking: ConversationSearch.locally
).run()
