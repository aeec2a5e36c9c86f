import Forms
import Wire

/// An action that the audit log records.
package enum AuditAction: String, CaseIterable, Sendable {
  case agentCreated = "agent.created"
  case agentDeleted = "agent.deleted"
  case agentUpdated = "agent.updated"
  case channelResumed = "channel.resumed"
  case channelTested = "channel.tested"
  case conversationsExported = "conversations.exported"
  case eventReplayed = "event.replayed"
  case keyCreated = "key.created"
  case keyRevoked = "key.revoked"
  case leadsErased = "leads.erased"
  case loginCreated = "login.created"
  case personErased = "person.erased"
  case personExported = "person.exported"
  case personMerged = "person.merged"
  case personMergeUndone = "person.merge_undone"
  case subscriberDeleted = "subscriber.deleted"
  case subscribersErased = "subscribers.erased"
  case testLeadsRemoved = "test_leads.removed"

  private static let names = allCases.map(\.rawValue)

  package static let listForm = Form(
    [
      .optional("actor", .text(1...100)), .optional("action", .choice(names)), .optional("since", .instant),
      .optional("until", .instant),
    ] + Page.onward)

  package static let schema: JSON = [
    "type": "object", "required": ["id", "createdAt", "actor", "action", "subject", "details"],
    "properties": [
      "id": Schema.uuid, "createdAt": Schema.time, "actor": ["type": "string"],
      "action": ["enum": .array(names.map(JSON.string))], "subject": Schema.perhapsText, "details": ["type": "object"],
    ],
  ]
}
