// GET /api/admin/conversations/{id}/explain: explains a conversation's score, deadline and notifications.
import Admin
import Contract
import Leads
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-explain", "Explains a conversation's score, deadline and notifications",
  .init("GET", "/api/admin/conversations/{id}/explain"), output: .init(LeadExplanation.schema), needs: [.officeHours],
  calls: .explainConversation,
  presentation: { settings throws(Problem) in
    let hours = try OfficeHours(settings)
    let clock = try LocalClock(settings)
    return { LeadExplanation($0, hours: hours, clock: clock).document }
  }
).handler
