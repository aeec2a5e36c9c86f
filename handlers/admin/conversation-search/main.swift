// GET /api/admin/search: conversations by what stands in them, newest first, and where it stands.
import Admin
import Contract
import Store
import StoreAccess
import Wire

AdminEndpoint(
  "conversation-search", "Searches names, numbers, mail, tags, notes and messages", .init("GET", "/api/admin/search"),
  input: .init(query: ConversationSearch.searchForm),
  output: .init(
    ConversationSearch.page(
      of: ConversationSearch.conversation(
        with: "matchedIn",
        ["type": "array", "items": ["enum": ["name", "phone", "email", "tags", "notes", "message"]]]),
      [.init("query", ["type": "string"])])), needs: [.officeHours], calls: .searchConversations,
  asking: ConversationSearch.locally
).run()
