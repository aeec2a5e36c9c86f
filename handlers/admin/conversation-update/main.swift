// PATCH /api/admin/conversations/{id}: changes a conversation. If-Match with its ETag guards against lost updates.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-update", "Changes status, quality, score, tags, notes, outcome or value of a conversation",
  .init("PATCH", "/api/admin/conversations/{id}"),
  headers: Conversation.ifMatch, body: Change.form, output: Conversation.schema(),
  replyHeaders: Conversation.replyHeaders, problems: [412], knowsHours: true, calls: .updateConversation,
  asking: Change.ofOne, replying: Conversation.reply
).run()
