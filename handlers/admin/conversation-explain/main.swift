// GET /api/admin/conversations/{id}/explain: why a conversation stands as it does.
import Admin
import Contract
import Leads
import Store
import StoreAccess
import Wire

AdminEndpoint(
  "conversation-explain", "Why a conversation has its score, its deadline and its notifications",
  .init("GET", "/api/admin/conversations/{id}/explain"), output: .init(LeadExplanation.schema), needs: [.officeHours],
  calls: .explainConversation,
  telling: { settings throws(Problem) in
    let hours = try OfficeHours(settings)
    let clock = try LocalClock(settings)
    return { LeadExplanation($0, hours: hours, clock: clock).document }
  }
).run()
