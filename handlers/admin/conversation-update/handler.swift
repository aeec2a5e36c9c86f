// PATCH /api/admin/conversations/{id}: updates a conversation. If-Match with its ETag prevents lost updates.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-update", "Updates a conversation's status, quality, score, tags, notes, outcome or value",
  .init("PATCH", "/api/admin/conversations/{id}"), input: .init(headers: Conversation.ifMatch, body: Change.form),
  output: .init(Conversation.schema(), headers: Conversation.replyHeaders, problems: [412]),
  needs: [.officeHours, .deadlines, .wake],
  calls: .updateConversation, argument: Change.ofOne, reply: Conversation.reply
).handler
