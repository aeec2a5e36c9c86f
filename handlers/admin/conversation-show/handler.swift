// GET /api/admin/conversations/{id}: returns a conversation with its messages and its ETag.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-show", "Returns a conversation with its messages", .init("GET", "/api/admin/conversations/{id}"),
  output: .init(Conversation.schema(withMessages: true), headers: Conversation.replyHeaders), needs: [.officeHours],
  calls: .showConversation, reply: Conversation.reply
).handler
