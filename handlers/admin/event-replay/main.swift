// POST /api/admin/events/{id}/replay: an event's finished notifications once more, as new ones linked to the first.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "event-replay", "Sends an event's finished notifications once more", .init("POST", "/api/admin/events/{id}/replay"),
  output: .init(Event.replaySchema, statuses: [202], problems: [409]), needs: [.wake], calls: .replayEvent
).run()
