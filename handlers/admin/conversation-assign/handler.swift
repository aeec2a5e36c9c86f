// POST /api/admin/conversations/{id}/assign: assigns a conversation to an agent.
import Admin
import Contract
import Forms
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-assign", "Assigns a conversation to an agent", .init("POST", "/api/admin/conversations/{id}/assign"),
  input: .init(
    headers: Conversation.ifMatch,
    body: Form([
      .required("agentId", .uuid), .optional("priority", .choice(["high", "medium", "low"])),
      .optional("notes", .text(1...500)), .optional("force", .boolean),
    ])),
  output: .init(
    Conversation.fullReplySchema([
      "status": ["const": "assigned"], "agentId": ["type": "string", "format": "uuid"], "agentName": ["type": "string"],
    ]), headers: Conversation.replyHeaders, problems: [409, 412]), needs: [.officeHours], calls: .assignConversation,
  argument: Conversation.guarded, reply: Conversation.fullReply
).handler
