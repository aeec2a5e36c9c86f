// GET /api/admin/conversations/{id}/assignments: who was considered for a conversation, who got it, and why.
import Admin
import Contract
import Leads
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "conversation-assignments", "Explains who a conversation was assigned to automatically, and why",
  .init("GET", "/api/admin/conversations/{id}/assignments"), output: .init(AssignmentExplanation.schema),
  environment: [.timeZone] + AutoAssign.settings, calls: .listAssignments,
  presentation: { settings throws(Problem) in
    let off = AutoAssign.reasonForNone(settings)
    let clock = try LocalClock(settings)
    return {
      $0.setting("sentences", .array(AssignmentExplanation($0, clock: clock, off: off).sentences.map(JSON.string)))
    }
  }
).handler
