// DELETE /api/admin/conversations/{id}/assign: removes a conversation's agent.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-unassign", "Removes a conversation's agent", .init("DELETE", "/api/admin/conversations/{id}/assign"),
  input: .init(headers: Conversation.ifMatch),
  output: .init(
    Conversation.fullReplySchema(["status": ["const": "unassigned"]]), headers: Conversation.replyHeaders,
    problems: [412]), needs: [.officeHours], calls: .unassignConversation,
  argument: Conversation.guarded, reply: Conversation.fullReply
).handler
