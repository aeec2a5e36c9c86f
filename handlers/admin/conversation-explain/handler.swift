// GET /api/admin/conversations/{id}/explain: explains a conversation's score, deadline, assignment and notifications.
import Admin
import Contract
import Leads
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-explain", "Explains a conversation's score, deadline, assignment and notifications",
  .init("GET", "/api/admin/conversations/{id}/explain"), output: .init(LeadExplanation.schema), needs: [.officeHours],
  environment: AutoAssign.settings, calls: .explainConversation,
  presentation: { settings throws(Problem) in
    let hours = try OfficeHours(settings)
    let clock = try LocalClock(settings)
    let off = AutoAssign.reasonForNone(settings)
    return { LeadExplanation($0, hours: hours, clock: clock, notAssigning: off).document }
  }
).handler
