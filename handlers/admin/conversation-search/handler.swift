// GET /api/admin/search: searches the content of conversations, newest first, and reports which fields matched.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-search", "Searches names, phone numbers, email addresses, tags, notes and messages",
  .init("GET", "/api/admin/search"),
  input: .init(query: ConversationSearch.searchForm),
  output: .init(
    ConversationSearch.page(
      of: ConversationSearch.conversation(
        with: "matchedIn",
        ["type": "array", "items": ["enum": ["name", "phone", "email", "tags", "notes", "message"]]]),
      [.init("query", ["type": "string"])])), needs: [.officeHours], calls: .searchConversations,
  argument: ConversationSearch.withTimeZone
).handler
