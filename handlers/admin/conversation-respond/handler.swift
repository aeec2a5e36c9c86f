// POST /api/admin/conversations/{id}/respond: records that an agent has responded to the customer.
import Admin
import Contract
import Forms
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-respond", "Records an agent's response to the customer",
  .init("POST", "/api/admin/conversations/{id}/respond"),
  input: .init(
    headers: Conversation.ifMatch,
    body: Form([
      .optional("agentId", .uuid),
      .optional("channel", .choice(["call", "email", "whatsapp", "sms", "chat", "meeting"])),
      .optional("message", .text(1...5000)),
    ])),
  output: .init(
    Conversation.fullReplySchema(["status": ["const": "contacted"], "isFirst": ["type": "boolean"]]),
    headers: Conversation.replyHeaders, problems: [412]), needs: [.officeHours], calls: .respondToConversation,
  argument: Conversation.guarded, reply: Conversation.fullReply
).handler
