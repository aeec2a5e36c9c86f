// POST /api/admin/conversations/{id}/follow-ups: schedules a follow-up with a customer.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "follow-up-create", "Schedules a follow-up", .init("POST", "/api/admin/conversations/{id}/follow-ups"),
  input: .init(body: FollowUp.newForm), output: .init(FollowUp.savedSchema, statuses: [201]), needs: [.wake],
  calls: .createFollowUp, argument: FollowUp.check, presentation: { _ in FollowUp.withWarnings }
).handler
