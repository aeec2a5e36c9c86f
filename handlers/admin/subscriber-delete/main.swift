// DELETE /api/newsletter/subscribers/{id}: deletes a subscriber and the events that contain its address, with their
// deliveries.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "subscriber-delete", "Deletes a newsletter subscriber", .init("DELETE", "/api/newsletter/subscribers/{id}"),
  output: .init(statuses: [204]), calls: .deleteSubscriber
).run()
