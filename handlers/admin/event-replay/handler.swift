// POST /api/admin/events/{id}/replay: sends an event's finished notifications again, as new ones linked to the
// originals.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "event-replay", "Sends an event's finished notifications again", .init("POST", "/api/admin/events/{id}/replay"),
  output: .init(Event.replaySchema, statuses: [202], problems: [409]), needs: [.wake], calls: .replayEvent
).handler
