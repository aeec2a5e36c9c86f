// DELETE /api/newsletter/subscribers/{id}: forgets an address, and what was still to be told of it.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "subscriber-delete", "Forgets a subscriber of the newsletter", .init("DELETE", "/api/newsletter/subscribers/{id}"),
  output: .init(statuses: [204]), calls: .deleteSubscriber
).run()
