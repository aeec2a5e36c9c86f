import Handler
import Leads
import Store
import Wire

/// The lead of a request, and the body it came from. An `Idempotency-Key` header stands above the body's member.
func readLead(_ request: Request) throws(Problem) -> (lead: Lead, content: JSON) {
  var content = try request.json()
  if let key = request.headers["idempotency-key"], content.members != nil {
    content = content.setting("idempotencyKey", .string(key))
  }
  do { return (try Lead(checking: content, receivedAt: request.receivedAt), content) } catch { throw Problem(error) }
}

/// Stores the lead and says so in the log.
func store(
  _ lead: Lead, _ content: JSON, from request: Request, in database: Database, log: Log
) throws(Problem) -> Captured {
  let captured: Captured
  do throws(Problem) {
    captured = try database.capture(
      lead, route: "lead-capture", content: content, deadline: request.deadline ?? .now, log: log)
  } catch {
    log.error("Conversation insert error", ["status": String(error.kind.status)])
    throw error
  }
  switch captured.outcome {
  case .mismatch: throw Problem(.keyReused, "this idempotency key was used before, with another content")
  case .replayed: log.info("Answered again conversation \(captured.id)")
  case .created: log.info("Successfully created conversation \(captured.id)")
  case .continued: log.info("Continued conversation \(captured.id)")
  }
  if captured.outcome == .created {
    if captured.eventID != nil {
      log.info("Event emitted: lead.created")
    } else {
      log.error("Failed to emit lead.created event", ["reason": "the event tables are not there"])
    }
  }
  return captured
}

/// What the client gets: the id and status, the times, and what its own request said.
struct LeadReply {
  let lead: Lead
  let captured: Captured

  static let schema: JSON = [
    "type": "object", "required": ["id", "conversation"],
    "properties": ["id": ["type": "string", "format": "uuid"], "conversation": Lead.conversationSchema],
  ]

  var reply: Reply {
    let stored: [JSON.Member] = [
      .init("id", .string(captured.id)), .init("status", .string(captured.status)),
      .init("createdAt", .string(captured.createdAt)), .init("updatedAt", .string(captured.updatedAt)),
    ]
    let conversation = JSON.object(stored + (lead.facts.members ?? []))
    return Reply(
      status: captured.isNew ? 201 : 200, ["id": .string(captured.id), "conversation": conversation],
      headers: captured.outcome == .replayed ? ["idempotency-replayed": "true"] : [:])
  }
}

/// The deadline's clock runs round the clock in this version; a setting that says otherwise must not be passed over.
enum BusinessHours {
  static let setting = Setting("BUSINESS_HOURS") { _ in "is not supported by this version: unset it" }
}
