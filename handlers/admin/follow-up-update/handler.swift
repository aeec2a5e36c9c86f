// PATCH /api/admin/follow-ups/{id}: completes, cancels, reschedules or changes a follow-up.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "follow-up-update", "Completes, cancels, reschedules or changes a follow-up",
  .init("PATCH", "/api/admin/follow-ups/{id}"),
  input: .init(body: FollowUp.changeForm), output: .init(FollowUp.savedSchema, problems: [409]), needs: [.wake],
  calls: .updateFollowUp, argument: FollowUp.check, presentation: { _ in FollowUp.withWarnings }
).handler
