// GET /api/admin/conversations: the list of the panel, filtered and sorted, by pages or by cursors.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-list", "Lists conversations", .init("GET", "/api/admin/conversations"),
  query: ConversationSearch.listForm,
  output: ConversationSearch.page(of: Conversation.schema(), [.init("page", ["type": "integer"])]),
  knowsHours: true, calls: .listConversations, asking: ConversationSearch.locally
).run()
