// GET /api/admin/conversations/{id}: one conversation with its messages, and its ETag.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-show", "One conversation with its messages", .init("GET", "/api/admin/conversations/{id}"),
  output: Conversation.schema(withMessages: true), replyHeaders: Conversation.replyHeaders, knowsHours: true,
  calls: .showConversation,
  replying: Conversation.reply
).run()
