import Contract
import Leads
import Store
import Wire

/// The reply to a captured lead: its id, status and times, and the facts of the client's own request.
package struct LeadReply {
  private let lead: Lead
  private let captured: Captured

  package init(_ stored: LeadIntake.Stored) { (lead, captured) = stored }

  package static let schema: JSON = [
    "type": "object", "required": ["id", "conversation"],
    "properties": [
      "id": ["type": "string", "format": "uuid"], "conversation": Lead.conversationSchema,
      "warnings": Lead.warningsSchema,
    ],
  ]

  package var reply: Reply {
    let stored: [JSON.Member] = [
      .init("id", .string(captured.id)), .init("status", .string(captured.shownStatus)),
      .init("createdAt", .string(captured.createdAt)), .init("updatedAt", .string(captured.updatedAt)),
    ]
    let conversation = JSON.object(stored + (lead.facts.members ?? []))
    let members: [JSON.Member] = [.init("id", .string(captured.id)), .init("conversation", conversation)]
    return Reply(
      status: captured.isNew ? 201 : 200, .object(members + lead.warningMembers), headers: captured.replayHeader)
  }
}
